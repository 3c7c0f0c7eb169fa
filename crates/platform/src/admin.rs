//! The admin server: what an orchestrator asks.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// How long open requests may take once the server is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// `/livez`: 200 as long as the runtime turns. `/readyz`: 200 or 503, with the health report as JSON.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    addr: SocketAddr,
    health: Health,
}

impl AdminServer {
    /// Takes the port; port 0 takes a free one.
    pub async fn bind(addr: SocketAddr, health: Health) -> anyhow::Result<Self> {
        let listening = async {
            let listener = TcpListener::bind(addr).await?;
            let addr = listener.local_addr()?;
            Ok::<_, std::io::Error>(Self { listener, addr, health })
        };
        listening.await.with_context(|| format!("listening on {addr} (ADMIN_ADDR)"))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the token is cancelled. Cancel it last: a drain is to be seen in `/readyz`.
    pub async fn run(self, token: CancellationToken) {
        let routes = Router::new()
            .route("/livez", get(|| async { ([(header::CACHE_CONTROL, "no-store")], "ok\n") }))
            .route("/readyz", get(ready))
            .with_state(self.health);
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

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report))
}
