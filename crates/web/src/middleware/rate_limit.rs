//! So many requests for each client.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Peer, address};
use crate::{Kind, Left, Problem, Quotas};

/// Clients remembered one by one, some 10 MiB; beyond, strangers are counted by the network they come from.
const CLIENTS: usize = 100_000;

/// The limit and who has used how much of it. Clones share it.
#[derive(Debug, Clone)]
pub struct RateLimit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    quotas: Quotas<Client>,
    trusted: Vec<IpNet>,
}

impl RateLimit {
    /// `quota` requests per `window`; none, if either is zero: there is no limit. A client gets back one request after
    /// another, evenly over the window.
    pub fn new(quota: u32, window: Duration, trusted: Vec<IpNet>) -> Option<Self> {
        let quotas = Quotas::new("client", quota, window)?;
        Some(Self { shared: Arc::new(Shared { quotas, trusted }) })
    }

    /// Counts one request.
    fn count(&self, mut client: Client) -> Left {
        if self.shared.quotas.len() > CLIENTS {
            client = client.neighbourhood();
        }
        self.shared.quotas.count(&client)
    }

    /// Forgets clients whose quota is whole again, until the token is cancelled.
    pub async fn forget_idle_clients(&self, token: CancellationToken) {
        self.shared.quotas.forget_idle(token).await;
    }
}

/// Lets a request pass, or answers 429.
pub async fn layer(State(limit): State<Option<RateLimit>>, request: Request, next: Next) -> Response {
    let (Some(limit), Some(Peer(peer))) = (limit, request.extensions().get::<Peer>().copied()) else {
        return next.run(request).await;
    };
    let client = Client::of(address(peer.ip(), request.headers(), &limit.shared.trusted));
    let left = limit.count(client);
    let mut response = match left.retry_after() {
        Some(wait) => Problem::new(Kind::RATE_LIMITED).retry_after(wait).into_response(),
        None => next.run(request).await,
    };
    limit.shared.quotas.tell(left, response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_flood_of_addresses_fills_no_memory() {
        let limit = RateLimit::new(100, Duration::from_secs(3600), Vec::new()).unwrap();
        for n in 0..300_000_u32 {
            limit.count(Client::of(std::net::Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761)).into()));
        }
        let remembered = limit.shared.quotas.len();
        assert!(remembered <= CLIENTS + 65_536 + 1, "{remembered} clients are remembered");
    }
}
