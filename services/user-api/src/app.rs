//! The service as a value: built, it knows its ports; it runs until a token is cancelled. Tests start the very same.

use std::net::SocketAddr;
use std::sync::Arc;

use amqp::Broker;
use outbox::{Outbox, Relay, RelayOptions, Table};
use platform::health::{Health, Need};
use platform::postgres::{Kept, WatchedDatabase};
use platform::service::{Base, Service};
use platform::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use web::middleware::rate_limit::RateLimit;
use web::server;

use crate::NAME;
use crate::config::ServeConfig;
use crate::db;
use crate::hashing::Hasher;
use crate::registration::Registrar;
use crate::router::router;
use crate::routes::Api;
use crate::telemetry::Metrics;

/// Connections that requests leave to the relay and to what looks after the database.
const OTHERS: u32 = 2;
/// The service, with its ports taken.
#[derive(Debug)]
pub struct App {
    config: ServeConfig,
    listener: TcpListener,
    addr: SocketAddr,
    base: Base,
    metrics: Metrics,
}

impl App {
    /// Takes the ports. Neither database nor broker need to be there.
    ///
    /// # Errors
    /// Settings contradict each other, a port is taken, or a URL cannot be used.
    pub async fn build(config: ServeConfig) -> anyhow::Result<Self> {
        config.check()?;
        let (listener, addr) = config.http.listen().await?;
        let base = Base::build(NAME, &config.common).await?;
        Ok(Self { config, listener, addr, base, metrics: Metrics::new() })
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
    /// The database is behind a pooler that can't be used, something was still under way when the grace period ended, or a background
    /// task crashed.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        Box::pin(self.run_with(Tasks::new(), token)).await
    }

    /// The same with tasks that a test has prepared.
    #[doc(hidden)]
    pub async fn run_with(self, tasks: Tasks, token: CancellationToken) -> anyhow::Result<()> {
        let Self { config, listener, addr, base: Base { admin, health, pool }, metrics } = self;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %addr, admin = %admin.addr(), "started");

        let hash = &config.hash;
        let parts = Parts {
            database: WatchedDatabase::new(pool.clone(), Kept::all_but(OTHERS, pool)),
            hasher: Hasher::new(hash.concurrency(), hash.hash_max_wait, hash.hash_cost, metrics.clone()),
            limit: RateLimit::new(
                config.clients.rate_limit,
                config.clients.rate_limit_window,
                config.http.trusted_proxies.clone(),
            ),
            committed: Arc::new(Notify::new()),
            health,
            end: token.clone(),
        };
        let timeout = config.http.request_timeout;
        let rules = config.http.rules(config.shutdown_grace);
        let api = Api { registrar: parts.registrar(), metrics };
        let routes = router(api, parts.limit.clone(), timeout, &config.clients.cors_allowed_origins);

        let start = |tasks: &mut Tasks, background: &CancellationToken| {
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
        service.run(token.clone(), start, requests, "finishing requests and background work (SHUTDOWN_GRACE)").await
    }
}

/// What requests and background tasks share.
struct Parts {
    database: WatchedDatabase,
    hasher: Hasher,
    limit: Option<RateLimit>,
    committed: Arc<Notify>,
    health: Health,
    /// The service's own.
    end: CancellationToken,
}

impl Parts {
    fn registrar(&self) -> Registrar {
        Registrar {
            db: self.database.kept.clone(),
            availability: self.database.availability.clone(),
            hasher: self.hasher.clone(),
            committed: Arc::clone(&self.committed),
        }
    }

    /// Starts what works in the background.
    fn start(&self, tasks: &mut Tasks, broker: Broker, options: RelayOptions, stop: &CancellationToken) {
        let (pool, health, stop) = (|| self.database.pool.clone(), &self.health, || stop.clone());
        // Once proven it is informative: a pod that leaves the Service can't say 503 (decision 21).
        let of_database = health.component("database", Need::ToStart);
        self.database.watch(tasks, db::MIGRATED, of_database, self.end.clone(), stop());
        // Informative: registration works without the broker.
        let of_broker = health.component("broker", Need::Informative);
        health.observe(NAME);
        let outbox = Outbox {
            pool: pool(),
            table: Table::in_search_path(),
            fit: self.database.availability.proof(),
            committed: Arc::clone(&self.committed),
        };
        Relay::new(outbox, broker, options, of_broker).start(&self.database, tasks, &stop());
        self.database.purge(tasks, "purge", "idempotency keys", db::purge_expired_keys, stop());
        let (hasher, token) = (self.hasher.clone(), stop());
        tasks.spawn("hashing-memory", async move { hasher.give_memory_back(token).await });
        if let Some(limit) = self.limit.clone() {
            let token = stop();
            tasks.spawn("rate-limit", async move { limit.forget_idle_clients(token).await });
        }
    }
}
