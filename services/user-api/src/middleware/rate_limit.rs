//! So many requests for each client, with headers that tell how many are left (draft-ietf-httpapi-ratelimit-headers).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Peer, address};
use crate::error::{Kind, Problem};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Clients remembered one by one, some 10 MiB; beyond, strangers are counted by the network they come from.
const CLIENTS: usize = 100_000;
/// How often clients are forgotten whose quota is whole again.
const FORGET: Duration = Duration::from_secs(10);

type Limiter = RateLimiter<Client, DashMapStateStore<Client>, DefaultClock, StateInformationMiddleware>;

/// The limit and who has used how much of it. Clones share it.
#[derive(Debug, Clone)]
pub struct RateLimit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limiter: Limiter,
    quota: NonZeroU32,
    window: Duration,
    trusted: Vec<IpNet>,
}

/// What a client has left.
#[derive(Debug, Clone, Copy)]
struct Left {
    requests: u32,
    /// The client must wait so long for the next one.
    wait: Option<Duration>,
}

impl RateLimit {
    /// `quota` requests per `window`; none, if either is zero: there is no limit. A client gets back one request after
    /// another, evenly over the window.
    pub fn new(quota: u32, window: Duration, trusted: Vec<IpNet>) -> Option<Self> {
        let quota = NonZeroU32::new(quota)?;
        let every = window.checked_div(quota.get()).filter(|every| !every.is_zero())?;
        let limiter = RateLimiter::dashmap(Quota::with_period(every)?.allow_burst(quota)).with_middleware();
        Some(Self { shared: Arc::new(Shared { limiter, quota, window, trusted }) })
    }

    /// Counts one request.
    fn count(&self, mut client: Client) -> Left {
        let limiter = &self.shared.limiter;
        if limiter.len() > CLIENTS {
            client = client.neighbourhood();
        }
        match limiter.check_key(&client) {
            Ok(snapshot) => Left { requests: snapshot.remaining_burst_capacity(), wait: None },
            Err(not_until) => Left { requests: 0, wait: Some(not_until.wait_time_from(limiter.clock().now())) },
        }
    }

    /// Forgets clients whose quota is whole again, until the token is cancelled.
    pub async fn forget_idle_clients(&self, token: CancellationToken) {
        let forget = async {
            loop {
                tokio::time::sleep(FORGET).await;
                self.shared.limiter.retain_recent();
                self.shared.limiter.shrink_to_fit();
            }
        };
        token.run_until_cancelled(forget).await;
    }

    fn tell(&self, left: Left, headers: &mut HeaderMap) {
        let Shared { quota, window, .. } = *self.shared;
        let used = quota.get().saturating_sub(left.requests);
        let whole_again = seconds(window.mul_f64(f64::from(used) / f64::from(quota.get())));
        let policy = format!("\"client\";q={quota};w={}", seconds(window));
        let limit = format!("\"client\";r={};t={whole_again}", left.requests);
        headers.extend(HeaderValue::from_str(&policy).map(|policy| (POLICY, policy)));
        headers.extend(HeaderValue::from_str(&limit).map(|limit| (LIMIT, limit)));
    }
}

/// Rounded up: whoever waits so long has waited long enough.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Lets a request pass, or answers 429.
pub async fn layer(State(limit): State<Option<RateLimit>>, request: Request, next: Next) -> Response {
    let (Some(limit), Some(Peer(peer))) = (limit, request.extensions().get::<Peer>().copied()) else {
        return next.run(request).await;
    };
    let client = Client::of(address(peer.ip(), request.headers(), &limit.shared.trusted));
    let left = limit.count(client);
    let mut response = match left.wait {
        Some(wait) => {
            let wait = Duration::from_secs(seconds(wait));
            Problem::new(Kind::RateLimited).retry_after(wait).into_response()
        }
        None => next.run(request).await,
    };
    limit.tell(left, response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn client(ip: &str) -> Client {
        Client::of(ip.parse().unwrap())
    }

    #[test]
    fn each_client_has_a_quota_of_its_own() {
        let limit = RateLimit::new(3, Duration::from_secs(3600), Vec::new()).unwrap();
        let left: Vec<_> = (0..4).map(|_| limit.count(client("192.0.2.1"))).collect();
        assert_eq!(left.iter().map(|left| left.requests).collect::<Vec<_>>(), [2, 1, 0, 0]);
        let wait = left[3].wait.unwrap();
        assert!(
            wait > Duration::from_secs(1_190) && wait <= Duration::from_secs(1_200),
            "a third of an hour: {wait:?}"
        );
        assert_eq!(limit.count(client("192.0.2.2")).requests, 2);

        let mut headers = HeaderMap::new();
        limit.tell(left[0], &mut headers);
        assert_eq!(headers[POLICY], "\"client\";q=3;w=3600");
        assert_eq!(headers[LIMIT], "\"client\";r=2;t=1200");
    }

    #[test]
    fn without_a_quota_there_is_no_limit() {
        assert!(RateLimit::new(0, Duration::from_secs(60), Vec::new()).is_none());
        assert!(RateLimit::new(60, Duration::ZERO, Vec::new()).is_none());
    }

    #[test]
    fn a_flood_of_addresses_fills_no_memory() {
        let limit = RateLimit::new(100, Duration::from_secs(3600), Vec::new()).unwrap();
        for n in 0..300_000_u32 {
            limit.count(Client::of(std::net::Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761)).into()));
        }
        let remembered = limit.shared.limiter.len();
        assert!(remembered <= CLIENTS + 65_536 + 1, "{remembered} clients are remembered");
    }
}
