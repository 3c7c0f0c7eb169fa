//! The service as a value: built, it knows its ports; it runs until a token is cancelled. Tests start the very same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amqp::Broker;
use anyhow::Context as _;
use platform::admin::AdminServer;
use platform::health::{Health, Need};
use platform::shutdown;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::ServeConfig;
use crate::db::{self, Availability, Lanes};
use crate::hashing::Hasher;
use crate::middleware::rate_limit::RateLimit;
use crate::registration::Registrar;
use crate::relay::Relay;
use crate::router::{Api, router};
use crate::telemetry::Metrics;
use crate::{purge, server};

/// What both services call it in the database and at the broker.
const NAME: &str = "user-api";

/// The service, with its ports taken.
#[derive(Debug)]
pub struct App {
    config: ServeConfig,
    listener: TcpListener,
    addr: SocketAddr,
    admin: AdminServer,
    health: Health,
    pool: PgPool,
    metrics: Metrics,
}

impl App {
    /// Takes the ports. Neither database nor broker need to be there.
    ///
    /// # Errors
    /// A port is taken, or a URL cannot be used.
    pub async fn build(config: ServeConfig) -> anyhow::Result<Self> {
        let health = Health::new();
        let database = &config.common.database;
        let pool = platform::postgres::pool(&database.database_url, database.database_pool_size, NAME)?;
        let asked = config.http.http_addr;
        let listener = TcpListener::bind(asked).await.with_context(|| format!("listening on {asked} (HTTP_ADDR)"))?;
        let addr = listener.local_addr().context("asking for the port of HTTP_ADDR")?;
        let admin = AdminServer::bind(config.common.admin.admin_addr, health.clone()).await?;
        Ok(Self { config, listener, addr, admin, health, pool, metrics: Metrics::new() })
    }

    /// Where the API is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the admin server is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.addr()
    }

    /// Runs until the token is cancelled, then drains: takes no more connections, finishes the requests that are under
    /// way, then stops what works in the background; all within the grace period.
    ///
    /// # Errors
    /// Something was still under way when the grace period ended.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let Self { config, listener, addr, admin, health, pool, metrics } = self;
        tracing::info!(%addr, admin = %admin.addr(), "serving");

        let committed = Arc::new(Notify::new());
        let hash = &config.hash;
        let hasher = Hasher::new(hash.concurrency(), hash.hash_max_wait, hash.hash_cost, metrics.clone());
        let availability = Availability::new();
        let limit = RateLimit::new(config.http.rate_limit, config.http.rate_limit_window, config.http.trusted_proxies);
        let lanes = Lanes::new(pool.clone());
        let registrar = Registrar {
            lanes: lanes.clone(),
            availability: availability.clone(),
            hasher: hasher.clone(),
            committed: Arc::clone(&committed),
        };
        let timeout = config.http.request_timeout;
        let routes = router(Api { registrar, metrics }, limit.clone(), timeout);

        // Stopped in this order: requests, what works for them, and last whoever reports on all of it.
        let (background, report) = (CancellationToken::new(), CancellationToken::new());
        let requests = server::serve(listener, routes, timeout, token.clone());
        let stop = background.clone();
        let broker = Broker::new(config.broker.amqp_url, NAME);
        // Informative: registration works without the broker.
        let health_of_broker = health.component("broker", Need::Informative);
        let relay = Relay::new(pool.clone(), broker, config.relay, committed, health_of_broker);
        let work = async {
            let forget = async {
                if let Some(limit) = &limit {
                    limit.forget_idle_clients(stop.clone()).await;
                }
            };
            tokio::join!(
                db::watch(
                    pool.clone(),
                    lanes.clone(),
                    availability,
                    health.component("database", Need::Required),
                    stop.clone()
                ),
                relay.run(stop.clone()),
                purge::run(pool.clone(), stop.clone()),
                hasher.give_memory_back(stop.clone()),
                forget,
            );
        };
        let drain = async {
            requests.await;
            background.cancel();
        };
        let all = async {
            tokio::join!(drain, work);
            report.cancel();
        };
        let grace = config.common.shutdown_grace;
        let deadline = async {
            token.cancelled().await;
            health.start_draining();
            tokio::time::sleep(grace).await;
        };
        let drained = async {
            tokio::select! {
                () = all => Ok(()),
                () = deadline => {
                    report.cancel();
                    Err(shutdown::GraceExceeded(grace))
                }
            }
        };
        let (drained, ()) = tokio::join!(drained, admin.run(report.clone()));
        if drained.is_ok() {
            lanes.give_all_back();
            // Connections say goodbye; one that hangs is left to the server.
            let _ = tokio::time::timeout(Duration::from_secs(1), pool.close()).await;
        }
        drained.context("finishing requests and background work (SHUTDOWN_GRACE)")
    }
}
