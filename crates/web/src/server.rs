//! HTTP/1.1 over connections that have to behave.

mod connection_limit;
mod conversation;
mod pace;
mod socket;
mod unasked;

use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use pace::Limits;

use crate::problem::{Kind, Problem};
use connection_limit::ConnectionLimit;

/// Connections that are told why they are closed, at once; more are closed without a word.
const FAREWELLS: usize = 64;
/// What a client that has as many connections as it may have waits before it tries again.
const AGAIN: Duration = Duration::from_secs(5);

/// What connections are allowed.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long they may take.
    pub limits: Limits,
    /// How many there may be at once; more wait to be accepted.
    pub connections: usize,
    /// How many of one client; 0: any number.
    pub per_client: usize,
    /// Proxies, which are no clients.
    pub trusted: Vec<IpNet>,
    /// What clients still have, to send and to read, when the service is told to stop.
    pub farewell: Duration,
}

/// Serves until the token is cancelled, then finishes what is under way. Dropping the future breaks it off.
pub async fn serve(listener: TcpListener, app: Router, rules: Rules, token: CancellationToken) {
    let limit = ConnectionLimit::new(rules.per_client, rules.trusted);
    let (leave, leaving) = watch::channel(None);
    let (mut connections, mut refused) = (JoinSet::new(), JoinSet::new());
    loop {
        let accepted = tokio::select! {
            () = token.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            Some(_) = refused.join_next() => continue,
            accepted = listener.accept(), if connections.len() < rules.connections => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match limit.take(peer.ip()) {
                Some(counted) => {
                    let conversation = conversation::converse(stream, peer, app.clone(), rules.limits, leaving.clone());
                    connections.spawn(async move {
                        conversation.await;
                        drop(counted);
                    });
                }
                None if refused.len() < FAREWELLS => {
                    let problem = Problem::new(Kind::TOO_MANY_CONNECTIONS).retry_after(AGAIN);
                    refused.spawn(conversation::part(stream, Some(problem)));
                }
                None => drop(stream),
            },
            Err(error) => {
                // Out of file descriptors, mostly: it passes when connections end.
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop((listener, refused));
    leave.send_replace(Some(Instant::now() + rules.farewell));
    while connections.join_next().await.is_some() {}
}
