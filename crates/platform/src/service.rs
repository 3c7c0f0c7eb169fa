//! A service from its start to its end: telemetry around it, signals that end it, and the order in which it stops.

use std::time::Duration;

use anyhow::Context as _;
use clap::CommandFactory;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::admin::AdminServer;
use crate::config::{CommonArgs, warn_of_names};
use crate::health::Health;
use crate::postgres::{self, WatchedDatabase};
use crate::shutdown::{self, GraceExceeded};
use crate::tasks::Tasks;
use crate::telemetry::{self, LogArgs};

/// The task that reports on the others, and ends after them.
const ADMIN: &str = "admin";
/// How long it may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Does `work` with telemetry of this name, which is flushed whatever comes of it.
///
/// # Errors
/// Those of the work; or telemetry can't be set up.
pub async fn with_telemetry<T>(
    name: &'static str,
    log: &LogArgs,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let telemetry = telemetry::init(name, log)?;
    let done = Box::pin(work).await;
    telemetry.shutdown().await;
    done
}

/// The same for a service: names of variables that are almost those of its configuration `C` are told, and `run` is given a token that
/// a signal cancels.
///
/// # Errors
/// As [`with_telemetry`].
pub async fn serve<C: CommandFactory>(
    name: &'static str,
    log: &LogArgs,
    run: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let work = async {
        warn_of_names::<C>();
        run(shutdown::on_signals()).await
    };
    with_telemetry(name, log, work).await
}

/// What every service with a database takes before it runs. The database need not be there.
#[derive(Debug)]
pub struct Base {
    /// The admin server.
    pub admin: AdminServer,
    /// What it reports.
    pub health: Health,
    /// Connections to the database.
    pub pool: PgPool,
}

impl Base {
    /// Takes the admin port.
    ///
    /// # Errors
    /// It is taken, or the database's URL can't be used.
    pub async fn build<const CONNECTIONS: u16>(name: &str, common: &CommonArgs<CONNECTIONS>) -> anyhow::Result<Self> {
        let CommonArgs { database, admin, .. } = common;
        let pool = postgres::pool(&database.database_url, database.database_pool_size, name)?;
        let health = Health::new();
        let admin = AdminServer::bind(admin.admin_addr, health.clone()).await?;
        Ok(Self { admin, health, pool })
    }
}

/// What every service with a database has, ready to run.
#[derive(Debug)]
pub struct Service {
    /// The admin server.
    pub admin: AdminServer,
    /// What it reports.
    pub health: Health,
    /// Tasks that are there already.
    pub tasks: Tasks,
    /// The database; its connections say goodbye at the end.
    pub database: WatchedDatabase,
    /// How long the end may take.
    pub grace: Duration,
}

impl Service {
    /// Starts what works in the background, and serves until `stop` is cancelled or a task ends. Stopped in this order, within the grace:
    /// what is served, what works for it, and last whoever reports on all of it. `finishing` says what the grace is for.
    ///
    /// # Errors
    /// The database is behind a pooler that can't be used, something was still under way when the grace was over, or a task crashed.
    pub async fn run(
        self,
        stop: CancellationToken,
        start: impl FnOnce(&mut Tasks, &CancellationToken),
        served: impl Future<Output = ()>,
        finishing: &'static str,
    ) -> anyhow::Result<()> {
        let Self { admin, health, mut tasks, database, grace } = self;
        let (background, report) = (CancellationToken::new(), CancellationToken::new());
        // First what has to be there is named: without it the service would call itself ready.
        start(&mut tasks, &background);
        tasks.spawn(ADMIN, admin.run(report.clone()));
        let all = async {
            let served = tasks.guard(&stop, served).await;
            background.cancel();
            served.and(tasks.finish_but(ADMIN).await)
        };
        let deadline = async {
            stop.cancelled().await;
            health.start_draining();
            tokio::time::sleep(grace).await;
        };
        let drained = tokio::select! {
            ended = all => Ok(ended),
            () = deadline => Err(GraceExceeded(grace)),
        };
        report.cancel();
        let drained = drained.context(finishing)?;
        let reported = tasks.finish(LAST_WORDS).await;
        database.close().await;
        drained.and(reported)?;
        database.is_fit()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::config::Secret;
    use crate::health::Need;
    use crate::postgres::{Kept, pool};

    use super::*;

    /// Whoever asked before anything is known must not hear that nothing is missing.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_not_ready_before_it_is_known_what_has_to_be_there() {
        let pool = pool(&Secret::from("postgres://nobody@127.0.0.1:1/none".to_owned()), 1, "test").unwrap();
        let health = Health::new();
        let admin = AdminServer::bind("127.0.0.1:0".parse().unwrap(), health.clone()).await.unwrap();
        let url = format!("http://{}/readyz", admin.addr());
        let (stop, components) = (CancellationToken::new(), health.clone());
        let service = Service {
            admin,
            health,
            tasks: Tasks::new(),
            database: WatchedDatabase::new(pool.clone(), Kept::one(pool)),
            grace: Duration::from_secs(5),
        };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = tokio::spawn(async move { client.get(url).send().await.unwrap().status() });
        let start = move |_: &mut Tasks, _: &CancellationToken| {
            // A moment in which somebody else may run.
            std::thread::sleep(Duration::from_millis(500));
            components.component("database", Need::ToStart);
        };
        let served = async {
            assert_eq!(asked.await.unwrap(), 503);
        };
        service.run(stop, start, served, "test").await.unwrap();
    }
}
