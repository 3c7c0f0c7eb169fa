//! So much for each of many, given back evenly over a window.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio_util::sync::CancellationToken;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How often those are forgotten whose quota is whole again.
const FORGET: Duration = Duration::from_secs(10);

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// What each has used of its quota, and headers that tell (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug)]
pub struct Quotas<K: Hash + Eq + Clone> {
    limiter: Limiter<K>,
    /// What the quota belongs to, as the headers call it.
    name: &'static str,
    quota: NonZeroU32,
    window: Duration,
}

/// What one has left.
#[derive(Debug, Clone, Copy)]
pub struct Left {
    /// Of its quota.
    pub quota: u32,
    /// It was not granted, and will be after so long.
    pub wait: Option<Duration>,
}

impl<K: Hash + Eq + Clone> Quotas<K> {
    /// `quota` per `window`; none, if either is zero: there is no limit. One is given back after another, evenly over the window.
    pub fn new(name: &'static str, quota: u32, window: Duration) -> Option<Self> {
        let quota = NonZeroU32::new(quota)?;
        let every = window.checked_div(quota.get()).filter(|every| !every.is_zero())?;
        let limiter = RateLimiter::dashmap(Quota::with_period(every)?.allow_burst(quota)).with_middleware();
        Some(Self { limiter, name, quota, window })
    }

    /// Takes one.
    pub fn count(&self, key: &K) -> Left {
        self.count_many(key, NonZeroU32::MIN)
    }

    /// Takes several at once, or none of them. More than the whole quota are never granted.
    pub fn count_many(&self, key: &K, many: NonZeroU32) -> Left {
        match self.limiter.check_key_n(key, many) {
            Ok(Ok(snapshot)) => Left { quota: snapshot.remaining_burst_capacity(), wait: None },
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.limiter.clock().now());
                Left { quota: 0, wait: Some(wait) }
            }
            Err(_) => Left { quota: 0, wait: Some(self.window) },
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.limiter.len()
    }

    /// Nobody is.
    pub fn is_empty(&self) -> bool {
        self.limiter.is_empty()
    }

    /// Forgets those whose quota is whole again, until the token is cancelled.
    pub async fn forget_idle(&self, token: CancellationToken) {
        let forget = async {
            loop {
                tokio::time::sleep(FORGET).await;
                self.limiter.retain_recent();
                self.limiter.shrink_to_fit();
            }
        };
        token.run_until_cancelled(forget).await;
    }

    /// Tells in the headers.
    pub fn tell(&self, left: Left, headers: &mut HeaderMap) {
        let Self { name, quota, window, .. } = self;
        let used = quota.get().saturating_sub(left.quota);
        let whole_again = seconds(window.mul_f64(f64::from(used) / f64::from(quota.get())));
        let policy = format!("\"{name}\";q={quota};w={}", seconds(*window));
        let limit = format!("\"{name}\";r={};t={whole_again}", left.quota);
        headers.extend(HeaderValue::from_str(&policy).map(|policy| (POLICY, policy)));
        headers.extend(HeaderValue::from_str(&limit).map(|limit| (LIMIT, limit)));
    }
}

impl Left {
    /// For `Retry-After`.
    pub fn retry_after(self) -> Option<Duration> {
        self.wait.map(|wait| Duration::from_secs(seconds(wait)))
    }
}

/// Rounded up: whoever waits so long has waited long enough.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_has_a_quota_of_its_own() {
        let quotas = Quotas::new("client", 3, Duration::from_secs(3600)).unwrap();
        let left: Vec<_> = (0..4).map(|_| quotas.count(&"one")).collect();
        assert_eq!(left.iter().map(|left| left.quota).collect::<Vec<_>>(), [2, 1, 0, 0]);
        let wait = left[3].wait.unwrap();
        assert!(
            wait > Duration::from_secs(1_190) && wait <= Duration::from_secs(1_200),
            "a third of an hour: {wait:?}"
        );
        assert_eq!(quotas.count(&"other").quota, 2);

        let mut headers = HeaderMap::new();
        quotas.tell(left[0], &mut headers);
        assert_eq!(headers[POLICY], "\"client\";q=3;w=3600");
        assert_eq!(headers[LIMIT], "\"client\";r=2;t=1200");
    }

    #[test]
    fn several_are_taken_together_or_not_at_all() {
        let quotas = Quotas::new("key", 5, Duration::from_secs(3600)).unwrap();
        let many = |n| NonZeroU32::new(n).unwrap();
        assert_eq!(quotas.count_many(&1, many(3)).quota, 2);
        assert!(quotas.count_many(&1, many(3)).wait.is_some());
        assert_eq!(quotas.count_many(&1, many(2)).quota, 0, "what was refused took nothing");
        assert!(quotas.count_many(&2, many(6)).wait.is_some(), "more than there ever are");
    }

    #[test]
    fn without_a_quota_there_is_no_limit() {
        assert!(Quotas::<u8>::new("client", 0, Duration::from_secs(60)).is_none());
        assert!(Quotas::<u8>::new("client", 60, Duration::ZERO).is_none());
    }
}
