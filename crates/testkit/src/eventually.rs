//! Waiting for an outcome.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Polls until the probe gives `Some`, soon at first, then every 50 ms. After `within` it panics with `what` and the caller's line;
/// a probe that hangs counts as `None`.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, probe: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let found = poll(within, probe).await;
        found.unwrap_or_else(|| panic!("not within {within:?}: {what} ({caller})"))
    }
}

/// The same, without the panic.
pub(crate) async fn poll<T>(within: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Ok(Some(found)) = timeout_at(deadline, probe()).await {
            return Some(found);
        }
        if Instant::now() + pause >= deadline {
            return None;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
