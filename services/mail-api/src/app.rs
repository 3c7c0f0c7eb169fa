//! The relay as a value: built, it knows its port; it runs until a token is cancelled. Tests start the very same.

use std::net::SocketAddr;
use std::sync::Arc;

use amqp::Broker;
use outbox::{Fitness, Outbox, Relay, Table};
use platform::health::{Health, Need};
use platform::postgres::{Kept, WatchedDatabase};
use platform::service::{Base, Service};
use platform::tasks::Tasks;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::NAME;
use crate::config::RelayConfig;

/// The relay, with its port taken.
#[derive(Debug)]
pub struct App {
    config: RelayConfig,
    base: Base,
}

impl App {
    /// Takes the port. Neither database nor broker need to be there.
    ///
    /// # Errors
    /// Settings contradict each other, the port is taken, or a URL cannot be used.
    pub async fn build(config: RelayConfig) -> anyhow::Result<Self> {
        config.check()?;
        let base = Base::build(NAME, &config.common).await?;
        Ok(Self { config, base })
    }

    /// Where the admin server is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.base.admin.addr()
    }

    /// Runs until the token is cancelled, then finishes the batch that is under way, within the grace period.
    ///
    /// # Errors
    /// A pooler before the database refuses what is said first, something was still under way when the grace period ended, or a background
    /// task crashed.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        Box::pin(self.run_with(Tasks::new(), token)).await
    }

    /// The same with tasks that a test has prepared.
    #[doc(hidden)]
    pub async fn run_with(self, tasks: Tasks, token: CancellationToken) -> anyhow::Result<()> {
        let Self { config, base: Base { admin, health, pool } } = self;
        let (version, schema) = (env!("CARGO_PKG_VERSION"), &config.outbox_schema);
        tracing::info!(version, admin = %admin.addr(), %schema, "started");
        // It keeps none: what it asks is once for each batch.
        let database = WatchedDatabase::new(pool.clone(), Kept::one(pool));
        let grace = config.shutdown_grace;
        let service = Service { admin, health: health.clone(), tasks, database: database.clone(), grace };
        let end = token.clone();
        let start = |tasks: &mut Tasks, stop: &CancellationToken| {
            start(&config, &health, &database, end, tasks, stop);
        };
        let finishing = "finishing the batch that is under way (SHUTDOWN_GRACE)";
        service.run(token.clone(), start, token.cancelled(), finishing).await
    }
}

/// Starts what works in the background. `end` is the service's own.
fn start(
    config: &RelayConfig,
    health: &Health,
    database: &WatchedDatabase,
    end: CancellationToken,
    tasks: &mut Tasks,
    stop: &CancellationToken,
) {
    // Nobody sends it requests that it could refuse: that it is ready means that it can take tasks out of the outbox.
    let of_database = health.component("database", Need::Required);
    let of_broker = health.component("broker", Need::Informative);
    health.observe(NAME);
    let schema = &config.outbox_schema;
    database.watch(tasks, Fitness::of(schema.clone()), of_database, end, stop.clone());
    // Rights may be taken away at any time: without that to delete, each try would publish the same tasks again.
    let (fit, committed) = (database.availability.fit(), Arc::new(Notify::new()));
    let outbox = Outbox { pool: database.pool.clone(), table: Table::in_schema(schema), fit, committed };
    let broker = Broker::new(config.broker.amqp_url.clone(), NAME);
    Relay::new(outbox, broker, config.relay.options(NAME), of_broker).start(database, tasks, stop);
}
