//! When to stop, and for how long to keep trying to stop well.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM or SIGINT cancels. A second signal ends the process at once, with 143 or 130.
///
/// The handlers are in place when this returns, so a signal during start-up is not lost. Must be called on a tokio
/// runtime, once a process.
pub fn on_signals() -> CancellationToken {
    let token = CancellationToken::new();
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => {
            // Lives as long as the process does: whoever drains still wants the second signal to be heard.
            tokio::spawn(listen(terminate, interrupt, token.clone()));
        }
        (Err(err), _) | (_, Err(err)) => {
            tracing::error!(error = %err, "no signal handler could be set: a signal will end the process without a drain");
        }
    }
    token
}

async fn listen(mut terminate: Signal, mut interrupt: Signal, token: CancellationToken) {
    loop {
        let (name, code) = tokio::select! {
            _ = terminate.recv() => ("SIGTERM", 143),
            _ = interrupt.recv() => ("SIGINT", 130),
        };
        if token.is_cancelled() {
            tracing::warn!(signal = name, "second signal, giving up the drain");
            std::process::exit(code);
        }
        tracing::info!(signal = name, "shutting down");
        token.cancel();
    }
}

/// The work did not end within its grace period; it was dropped where it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not finished within the grace period of {0:?}")]
pub struct GraceExceeded(pub Duration);

/// Waits for `work` for at most `grace`, then drops it.
pub async fn within<T>(grace: Duration, work: impl Future<Output = T>) -> Result<T, GraceExceeded> {
    tokio::time::timeout(grace, work).await.map_err(|_| GraceExceeded(grace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_ends_in_time_hands_over_its_result() {
        assert_eq!(within(Duration::from_secs(5), async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_does_not_end_is_dropped_when_its_grace_is_over() {
        let grace = Duration::from_millis(10);
        let work = std::future::pending::<()>();
        assert_eq!(within(grace, work).await, Err(GraceExceeded(grace)));
    }
}
