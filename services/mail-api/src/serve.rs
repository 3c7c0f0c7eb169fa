//! `serve` as a value: built, it knows its ports; it runs until a token is cancelled. Tests start the very same.

use std::net::SocketAddr;
use std::sync::Arc;

use amqp::Broker;
use mail::Source;
use outbox::{Identifier, Outbox, Relay, RelayOptions, Table};
use platform::health::{Health, Need};
use platform::postgres::{Kept, WatchedDatabase};
use platform::service::{Base, Service};
use platform::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use web::server;

use crate::NAME;
use crate::config::ServeConfig;
use crate::db;
use crate::keys::Doors;
use crate::mailing::Taker;
use crate::router::router;
use crate::routes::Api;

/// Connections that requests leave to the relay and to what looks after the database.
const OTHERS: u32 = 2;

/// The service, with its ports taken.
#[derive(Debug)]
pub struct Serve {
    config: ServeConfig,
    listener: TcpListener,
    addr: SocketAddr,
    base: Base,
    types: Option<Source>,
}

impl Serve {
    /// Takes the ports. Neither database nor broker need to be there.
    ///
    /// # Errors
    /// Settings contradict each other, a port is taken, a URL cannot be used, or the files of `MAILS_DIR` are not right.
    pub async fn build(config: ServeConfig) -> anyhow::Result<Self> {
        config.check()?;
        let directory = config.mails_dir.as_deref();
        let types = directory.map(|directory| Source::open(Some(directory))).transpose()?;
        let (listener, addr) = config.http.listen().await?;
        let base = Base::build(NAME, &config.common).await?;
        Ok(Self { config, listener, addr, base, types })
    }

    /// Where the API is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the admin server is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.base.admin.addr()
    }

    /// Runs until the token is cancelled, then drains: takes no more connections, finishes the requests that are under
    /// way, then stops what works in the background; all within the grace period.
    ///
    /// # Errors
    /// [`NoKeys`](crate::keys::NoKeys); the database is behind a pooler that can't be used, something was still under way when the grace
    /// period ended, or a background task crashed.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        Box::pin(self.run_with(Tasks::new(), token)).await
    }

    /// The same with tasks that a test has prepared.
    #[doc(hidden)]
    pub async fn run_with(self, tasks: Tasks, token: CancellationToken) -> anyhow::Result<()> {
        let Self { config, listener, addr, base: Base { admin, health, pool }, types } = self;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %addr, admin = %admin.addr(), "started");
        let parts = Parts {
            database: WatchedDatabase::new(pool.clone(), Kept::all_but(OTHERS, pool)),
            doors: config.doors(),
            committed: Arc::new(Notify::new()),
            health,
            end: token.clone(),
        };
        let rules = config.http.rules(config.shutdown_grace);
        let api = parts.api(&config, types.as_ref());
        let routes = router(api, parts.doors.clone(), config.http.request_timeout);
        let start = |tasks: &mut Tasks, background: &CancellationToken| {
            if let Some(types) = types {
                types.follow(&parts.health, tasks, background);
            }
            parts.start(tasks, Broker::new(config.broker.amqp_url, NAME), config.relay.options(NAME), background);
        };
        let requests = async {
            // Until then nobody knows what to answer.
            if token.run_until_cancelled(parts.database.availability.known()).await.is_some() {
                server::serve(listener, routes, rules, token.clone()).await;
            }
        };
        let (health, database, grace) = (parts.health.clone(), parts.database.clone(), config.shutdown_grace);
        let service = Service { admin, health, tasks, database, grace };
        let finishing = "finishing requests and background work (SHUTDOWN_GRACE)";
        Box::pin(service.run(token.clone(), start, requests, finishing)).await?;
        Ok(parts.doors.keys.was_not_empty()?)
    }
}

/// What requests and background tasks share.
struct Parts {
    database: WatchedDatabase,
    doors: Doors,
    committed: Arc<Notify>,
    health: Health,
    /// The service's own.
    end: CancellationToken,
}

impl Parts {
    fn api(&self, config: &ServeConfig, types: Option<&Source>) -> Api {
        let taker = Taker {
            db: self.database.kept.clone(),
            availability: self.database.availability.clone(),
            committed: Arc::clone(&self.committed),
            limit: config.recipient_limit(),
        };
        Api { taker, types: types.map(|source| source.types.clone()), largest_batch: config.largest_batch() }
    }

    /// Starts what works in the background.
    fn start(&self, tasks: &mut Tasks, broker: Broker, options: RelayOptions, stop: &CancellationToken) {
        let (pool, health, stop) = (|| self.database.pool.clone(), &self.health, || stop.clone());
        // As user-api's: once proven it is informative (decision 21).
        let of_database = health.component("database", Need::ToStart);
        self.database.watch(tasks, db::MIGRATED, of_database, self.end.clone(), stop());
        // Before they are known nobody could be let in.
        let of_keys = health.component("keys", Need::ToStart);
        // Informative: mails are taken without the broker.
        let of_broker = health.component("broker", Need::Informative);
        health.observe(NAME);
        let keys = self.doors.keys.clone().follow(pool(), of_keys, self.end.clone(), stop());
        tasks.spawn("keys", self.database.once_proven(stop(), keys));
        let outbox = Outbox {
            pool: pool(),
            table: Table::in_schema(&Identifier::default()),
            fit: self.database.availability.proof(),
            committed: Arc::clone(&self.committed),
        };
        Relay::new(outbox, broker, options, of_broker).start(&self.database, tasks, &stop());
        self.database.purge(tasks, "purge-keys", "idempotency keys", db::purge_expired_keys, stop());
        self.database.purge(tasks, "purge-recipients", "recipients", db::purge_recipients, stop());
        if let Some(quotas) = self.doors.quotas.clone() {
            let token = stop();
            tasks.spawn("key-limit", async move { quotas.forget_idle(token).await });
        }
    }
}
