//! The console: a website for those who run Sluice, and the same as an API. What became of a mail, what waits where, and hands on the
//! valve.
//!
//! Pages are made here and work without scripts; one script renews what is shown. A recipient's address comes in the body of a request, is hashed in memory, and stands
//! in no URL and no log.

mod actions;
mod api;
mod attempt;
mod dead_letters;
mod door;
mod form;
mod language;
mod live;
mod mails;
mod oidc;
pub mod openapi;
mod overview;
mod pages;
mod proxy;
mod queues;
mod roles;
mod routes;
mod session;
mod sign_in;
mod site;
mod who;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use platform::admin::AdminServer;
use platform::health::{Health, Need};
use platform::postgres::{self, Kept, WatchedDatabase};
use platform::service::Service;
use platform::tasks::Tasks;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use web::server;

use crate::config::ConsoleConfig;
use crate::dead_letters::jobs::Runner;
use crate::ledger::Tables;
use site::Site;

pub(crate) use oidc::{Meaning, Settings};
pub(crate) use proxy::Proxy;
pub use roles::Roles;
pub use who::{InvalidTokens, Role, Tokens, Who};

/// What telemetry and the database call it.
pub const NAME: &str = "email-worker-console";

/// The console, with its ports taken.
#[derive(Debug)]
pub struct Console {
    config: ConsoleConfig,
    listener: TcpListener,
    addr: SocketAddr,
    admin: AdminServer,
    health: Health,
    database: WatchedDatabase,
}

impl Console {
    /// Takes the ports. Neither database nor broker need to be there.
    ///
    /// # Errors
    /// Settings contradict each other, a port is taken, or a URL cannot be used.
    pub async fn build(config: ConsoleConfig) -> anyhow::Result<Self> {
        config.check()?;
        let database = &config.common.database;
        let pool = postgres::pool(&database.database_url, database.database_pool_size, NAME)?;
        let database = WatchedDatabase::new(pool.clone(), Kept::one(pool));
        let asked = config.http.http_addr;
        let listener = TcpListener::bind(asked).await.with_context(|| format!("listening on {asked} (HTTP_ADDR)"))?;
        let addr = listener.local_addr().context("asking for the port of HTTP_ADDR")?;
        let health = Health::new();
        let admin = AdminServer::bind(config.common.admin.admin_addr, health.clone()).await?;
        Ok(Self { config, listener, addr, admin, health, database })
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the admin server is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.addr()
    }

    /// Serves until the token is cancelled, then finishes the requests that are under way.
    ///
    /// # Errors
    /// The database is behind a pooler that can't be used, something was still under way when the grace period ended, or a background
    /// task crashed.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let Self { config, listener, addr, admin, health, database } = self;
        tracing::info!(%addr, admin = %admin.addr(), "serving the console");
        let (rules, grace) = (config.http.rules(config.shutdown_grace), config.shutdown_grace);
        let site = Arc::new(Site::new(&config, database.pool.clone(), token.clone())?);
        let routes = routes::all(&site, &config.http);
        let broker = site::broker(&config);
        let runner = Runner::new(database.pool.clone(), broker.clone(), Arc::clone(&site.look));
        let end = token.clone();
        let start = |tasks: &mut Tasks, stop: &CancellationToken| {
            let of_database = health.component("database", Need::ToStart);
            health.observe(NAME);
            database.watch(tasks, Tables, of_database, end, stop.clone());
            site.start_provider(tasks, &health, stop);
            let (look, stopped) = (Arc::clone(&site.look), stop.clone());
            tasks.spawn("dead-letters", async move { look.keep(broker, stopped).await });
            tasks.spawn("jobs", runner.run(stop.clone()));
            tasks.spawn("overview", overview::keep(Arc::clone(&site), stop.clone()));
            let (site, stop) = (Arc::clone(&site), stop.clone());
            tasks.spawn("sign-in-tries", async move { site.tries.forget_idle(stop).await });
        };
        let requests = async {
            if token.run_until_cancelled(database.availability.known()).await.is_some() {
                server::serve(listener, routes, rules, token.clone()).await;
            }
        };
        let service = Service { admin, health: health.clone(), tasks: Tasks::new(), database: database.clone(), grace };
        Box::pin(service.run(token.clone(), start, requests, "finishing requests (SHUTDOWN_GRACE)")).await
    }
}
