//! The relay as a value: built, it knows its port; it runs until a token is cancelled. Tests start the very same.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amqp::Broker;
use anyhow::Context as _;
use outbox::{Fitness, Outbox, Relay, Table};
use platform::admin::AdminServer;
use platform::health::{Health, Need};
use platform::postgres::{Availability, Kept, UnfitPooler, watch};
use platform::shutdown;
use platform::tasks::Tasks;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::RelayConfig;

/// What the application's database and the broker call it.
const NAME: &str = "mail-api";
/// The task that reports on the others, and ends after them.
const ADMIN: &str = "admin";
/// How long it may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The relay, with its port taken.
#[derive(Debug)]
pub struct App {
    config: RelayConfig,
    admin: AdminServer,
    health: Health,
    pool: PgPool,
}

impl App {
    /// Takes the port. Neither database nor broker need to be there.
    ///
    /// # Errors
    /// Settings contradict each other, the port is taken, or a URL cannot be used.
    pub async fn build(config: RelayConfig) -> anyhow::Result<Self> {
        config.check()?;
        let health = Health::new();
        let database = &config.common.database;
        let pool = platform::postgres::pool(&database.database_url, database.database_pool_size, NAME)?;
        let admin = AdminServer::bind(config.common.admin.admin_addr, health.clone()).await?;
        Ok(Self { config, admin, health, pool })
    }

    /// Where the admin server is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.addr()
    }

    /// Runs until the token is cancelled, then finishes the batch that is under way, within the grace period.
    ///
    /// # Errors
    /// A pooler before the database refuses what is said first, something was still under way when the grace period ended, or a background
    /// task crashed.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let Self { config, admin, health, pool } = self;
        tracing::info!(admin = %admin.addr(), schema = %config.outbox_schema, "relaying");
        let (background, report) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = Tasks::new();
        tasks.spawn(ADMIN, admin.run(report.clone()));
        let parts = Parts { pool, health, end: token.clone(), unfit: Arc::default() };
        parts.start(&mut tasks, &config, &background);
        let all = async {
            let worked = tasks.guard(&token, token.cancelled()).await;
            background.cancel();
            worked.and(tasks.finish_but(ADMIN).await)
        };
        let grace = config.shutdown_grace;
        let deadline = async {
            token.cancelled().await;
            parts.health.start_draining();
            tokio::time::sleep(grace).await;
        };
        let drained = tokio::select! {
            ended = all => Ok(ended),
            () = deadline => Err(shutdown::GraceExceeded(grace)),
        };
        report.cancel();
        let drained = drained.context("finishing the batch that is under way (SHUTDOWN_GRACE)")?;
        let reported = tasks.finish(LAST_WORDS).await;
        // Connections say goodbye; one that hangs is left to the server.
        let _ = tokio::time::timeout(Duration::from_secs(1), parts.pool.close()).await;
        drained.and(reported)?;
        match parts.unfit.get() {
            Some(unfit) => Err(unfit.clone()).context("the database of DATABASE_URL"),
            None => Ok(()),
        }
    }
}

/// What background tasks share.
struct Parts {
    pool: PgPool,
    health: Health,
    /// The service's own.
    end: CancellationToken,
    /// Why it ended, if that was found out at its start.
    unfit: Arc<OnceLock<UnfitPooler>>,
}

impl Parts {
    /// Starts what works in the background.
    fn start(&self, tasks: &mut Tasks, config: &RelayConfig, stop: &CancellationToken) {
        let (pool, health, stop) = (|| self.pool.clone(), &self.health, || stop.clone());
        // Nobody sends it requests that it could refuse: that it is ready means that it can take tasks out of the outbox.
        let database = health.component("database", Need::Required);
        let of_broker = health.component("broker", Need::Informative);
        health.observe(NAME);
        let (availability, schema) = (Availability::new(), &config.outbox_schema);
        // It keeps none: what it asks is once for each batch.
        let kept = Kept::one(pool());
        let watch = watch(pool(), kept, Fitness::of(schema.clone()), availability.clone(), database, stop());
        let (unfit, end, told) = (Arc::clone(&self.unfit), self.end.clone(), stop());
        tasks.spawn("database", async move {
            if let Err(pooler) = watch.await {
                let _ = unfit.set(pooler);
                end.cancel();
                told.cancelled().await;
            }
        });
        let table = Table::in_schema(schema);
        // Rights may be taken away at any time: without that to delete, each try would publish the same tasks again.
        let (fit, committed) = (availability.fit(), Arc::new(Notify::new()));
        let outbox = Outbox { pool: pool(), table: table.clone(), fit, committed };
        let broker = Broker::new(config.broker.amqp_url.clone(), NAME);
        let relay = Relay::new(outbox, broker, config.relay.options(NAME), of_broker);
        tasks.spawn("relay", relay.run(stop()));
        let (backlog, told) = (outbox::watch_backlog(NAME, pool(), table, stop()), stop());
        tasks.spawn("backlog", async move {
            if told.run_until_cancelled(availability.proven()).await.is_some() {
                backlog.await;
            }
        });
    }
}
