//! The variables of `email-worker console`.

mod oidc;
mod proxy;

use std::time::Duration;

use amqp::BrokerUrl;
use clap::Args;
use platform::config::{BrokerArgs, CommonArgs, Contradiction, Secret, duration};
use web::HttpArgs;

pub use self::oidc::{ConsoleUrl, OidcArgs};
pub use self::proxy::ProxyArgs;
use super::SuppressionArgs;
use crate::console::Tokens;
use crate::send::retry_schedule::RetrySchedule;

/// Connections to the database that it needs.
const CONNECTIONS: u16 = 2;

/// A website for those who run Sluice, and the same as an API.
#[derive(Debug, Clone, Args)]
pub struct ConsoleConfig {
    /// What all services have.
    #[command(flatten)]
    pub common: CommonArgs<CONNECTIONS>,
    /// How long a shutdown may take to finish requests
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration, help_heading = "Process")]
    pub shutdown_grace: Duration,
    /// Where it is served.
    #[command(flatten)]
    pub http: HttpArgs,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// What addresses are hashed with.
    #[command(flatten)]
    pub suppression: SuppressionArgs,
    /// The delays of the workers, whose queues are shown
    #[arg(long, env = "MAIL_RETRY_SCHEDULE", default_value = "5s,30s,2m,10m,1h", help_heading = "Broker")]
    pub retry_schedule: RetrySchedule,
    /// Who is let in.
    #[command(flatten)]
    pub sign_in: SignInArgs,
    /// Whom a provider knows.
    #[command(flatten)]
    pub oidc: OidcArgs,
    /// Whom a proxy knows.
    #[command(flatten)]
    pub proxy: ProxyArgs,
}

/// Who is let in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing in")]
pub struct SignInArgs {
    /// NAME=viewer:TOKEN or NAME=operator:TOKEN, separated by commas or line breaks; a viewer looks, an operator acts too. For the
    /// website and, as bearer tokens, for the API. Where nobody has to sign in, HTTP_ADDR must be of this machine alone, and everybody there
    /// is an operator
    #[arg(long, env = "CONSOLE_TOKENS", hide_env_values = true, default_value = "", hide_default_value = true)]
    pub console_tokens: Tokens,
    /// Secret that seals sessions, at least 32 characters, the same for all replicas; when not set, sessions end with the process
    #[arg(long, env = "CONSOLE_SECRET", hide_env_values = true, value_parser = long_secret)]
    pub console_secret: Option<Secret>,
    /// How long a session holds, whatever becomes of its holder's groups meanwhile
    #[arg(long, env = "CONSOLE_SESSION_LIFETIME", default_value = "10h", value_parser = duration)]
    pub console_session_lifetime: Duration,
    /// Where browsers find it, such as https://console.example.com
    #[arg(long, env = "CONSOLE_URL")]
    pub console_url: Option<ConsoleUrl>,
}

impl ConsoleConfig {
    /// Settings that are right one by one and do not go together.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), Contradiction> {
        let open = self.nobody_signs_in() && !self.http.http_addr.ip().is_loopback();
        let own = [
            (
                open,
                "HTTP_ADDR can be reached by others, and nobody has to sign in: set CONSOLE_TOKENS, CONSOLE_OIDC_ISSUER \
                 or CONSOLE_PROXY_NETWORKS, or HTTP_ADDR=127.0.0.1:8080",
            ),
            (
                self.sign_in.console_session_lifetime < Duration::from_secs(60),
                "CONSOLE_SESSION_LIFETIME is less than a minute: nobody would get anything done",
            ),
        ];
        let oidc = self.oidc.contradictions(self.sign_in.console_url.as_ref());
        let all = self.http.contradictions().into_iter().chain(oidc).chain(self.proxy.contradictions()).chain(own);
        let first = all.into_iter().find(|(is_so, _)| *is_so);
        first.map_or(Ok(()), |(_, line)| Err(Contradiction(line.to_owned())))
    }

    fn nobody_signs_in(&self) -> bool {
        self.sign_in.console_tokens.is_empty() && !self.oidc.is_on() && !self.proxy.is_on()
    }
}

fn long_secret(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.chars().count() < 32 {
        return Err("has fewer than 32 characters: make one with `openssl rand -hex 32`");
    }
    Ok(Secret::from(text.to_owned()))
}
