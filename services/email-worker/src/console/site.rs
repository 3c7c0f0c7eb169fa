//! What all handlers share.

use std::sync::Arc;
use std::time::Duration;

use amqp::Broker;
use anyhow::Context as _;
use platform::health::{Health, Need};
use platform::tasks::Tasks;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use web::Quotas;
use web::middleware::client::Client;

use super::NAME;
use super::live::Live;
use super::oidc::Provider;
use super::pages::Pages;
use super::proxy::Proxy;
use super::queues::Queues;
use super::session::Sessions;
use super::who::Tokens;
use crate::config::ConsoleConfig;
use crate::dead_letters::look::Look;
use crate::suppressions::AddressKeys;

/// Tokens that one client may try in a minute.
const TRIES: u32 = 10;
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// What all handlers share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) pool: PgPool,
    pub(super) queues: Queues,
    pub(super) look: Arc<Look>,
    pub(super) keys: Option<AddressKeys>,
    pub(super) tokens: Tokens,
    pub(super) provider: Option<Provider>,
    pub(super) proxy: Option<Proxy>,
    pub(super) sessions: Sessions,
    pub(super) pages: Pages,
    pub(super) trusted: Vec<ipnet::IpNet>,
    pub(super) tries: Quotas<Client>,
    pub(super) live: Live,
}

/// The broker, as what is served asks it, and what is done in the background.
pub(super) fn broker(config: &ConsoleConfig) -> Broker {
    Broker::new(config.broker.amqp_url.clone(), NAME)
}

impl Site {
    pub(super) fn new(config: &ConsoleConfig, pool: PgPool, end: CancellationToken) -> anyhow::Result<Self> {
        let (sign_in, oidc) = (&config.sign_in, config.oidc.settings(config.sign_in.console_url.as_ref()));
        let broker = broker(config);
        Ok(Self {
            pool,
            look: Arc::default(),
            queues: Queues::new(broker, &config.retry_schedule),
            keys: config.suppression.keys(),
            tokens: sign_in.console_tokens.clone(),
            provider: oidc.map(Provider::new).transpose().context("asking CONSOLE_OIDC_ISSUER")?,
            proxy: config.proxy.settings(),
            sessions: Sessions::new(sign_in.console_secret.clone(), sign_in.console_session_lifetime),
            pages: Pages::new()?,
            trusted: config.http.trusted_proxies.clone(),
            tries: Quotas::new("client", TRIES, MINUTE).context("a limit of wrong tokens")?,
            live: Live::new(end),
        })
    }

    /// May this client try a token? Counts one that was wrong.
    pub(super) fn may_try(&self, client: Client) -> bool {
        self.tries.count(&client).wait.is_none()
    }

    /// Does nobody have to sign in?
    pub(super) fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.provider.is_none() && self.proxy.is_none()
    }

    /// Keeps the provider known. Traffic does not wait for it where there is another way in.
    pub(super) fn start_provider(self: &Arc<Self>, tasks: &mut Tasks, health: &Health, stop: &CancellationToken) {
        if self.provider.is_none() {
            return;
        }
        let need = if self.tokens.is_empty() && self.proxy.is_none() { Need::ToStart } else { Need::Informative };
        let (site, of_provider, stop) = (Arc::clone(self), health.component("sign-in", need), stop.clone());
        tasks.spawn("sign-in-provider", async move {
            if let Some(provider) = &site.provider {
                provider.keep_known(of_provider, stop).await;
            }
        });
    }
}
