//! The admin server: what an orchestrator asks, and a Prometheus.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::telemetry::exposition::Format;
use crate::telemetry::scrape::Scrape;

/// How long open requests may take once the server is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// `/livez`: 200 as long as the runtime turns. `/readyz`: 200 or 503, with the health report as JSON. `/metrics`: everything that is
/// measured, as Prometheus or as OpenMetrics has it; 404 where metrics are not to be scraped.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    addr: SocketAddr,
    health: Health,
    scrape: Option<Scrape>,
}

impl AdminServer {
    /// Takes the port; port 0 takes a free one.
    pub async fn bind(addr: SocketAddr, health: Health) -> anyhow::Result<Self> {
        let listening = async {
            let listener = TcpListener::bind(addr).await?;
            let addr = listener.local_addr()?;
            Ok::<_, std::io::Error>(Self { listener, addr, health, scrape: Scrape::of_the_process() })
        };
        listening.await.with_context(|| format!("listening on {addr} (ADMIN_ADDR)"))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the token is cancelled. Cancel it last: a drain is to be seen in `/readyz`.
    pub async fn run(self, token: CancellationToken) {
        let routes = routes(self.health, self.scrape);
        let server = axum::serve(self.listener, routes).with_graceful_shutdown(token.clone().cancelled_owned());
        let overdue = async {
            token.cancelled().await;
            tokio::time::sleep(LAST_REQUESTS).await;
        };
        tokio::select! {
            served = server => if let Err(error) = served {
                tracing::error!(%error, "the admin server stopped");
            },
            () = overdue => {}
        }
    }
}

fn routes(health: Health, scrape: Option<Scrape>) -> Router {
    let asked = Router::new()
        .route("/livez", get(|| async { ([(header::CACHE_CONTROL, "no-store")], "ok\n") }))
        .route("/readyz", get(ready))
        .with_state(health);
    match scrape {
        Some(scrape) => asked.route("/metrics", get(metrics).with_state(scrape)),
        None => asked,
    }
}

async fn metrics(State(scrape): State<Scrape>, headers: HeaderMap) -> impl IntoResponse {
    let format = Format::accepted(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let headers =
        [(header::CONTENT_TYPE, format.content_type()), (header::CACHE_CONTROL, "no-store"), (header::VARY, "accept")];
    (headers, scrape.text(format))
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report))
}
