//! Waiting for what a cluster will do some time.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks: soon enough for people, rare enough for an API server.
const PAUSE: Duration = Duration::from_millis(250);

/// Looks until the probe gives a value. After `within` it panics with `what`, the last reason why not, and the caller's line.
#[track_caller]
pub fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + within;
        let mut reason = "it could not be looked at".to_owned();
        loop {
            match timeout_at(deadline, probe()).await {
                Ok(Ok(found)) => return found,
                Ok(Err(not_yet)) => reason = not_yet,
                Err(_) => {}
            }
            assert!(Instant::now() + PAUSE < deadline, "not within {within:?}: {what}: {reason} ({caller})");
            sleep(PAUSE).await;
        }
    }
}

/// Looks during all of `time`, and panics as soon as the probe says that it does not hold.
#[track_caller]
pub fn throughout(
    what: &str,
    time: Duration,
    mut probe: impl AsyncFnMut() -> Result<(), String>,
) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if let Err(reason) = probe().await {
                panic!("does not hold: {what}: {reason} ({caller})");
            }
            sleep(PAUSE).await;
        }
    }
}
