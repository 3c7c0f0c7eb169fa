//! Removes what has been kept for long enough.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::DbError;

/// How often it is looked for, and how long to wait between two batches.
const EVERY: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(40);
/// Rows a batch: a millisecond of the database's time. With 500 of them the slowest hundredth of the requests beside it was the length of
/// a batch.
const BATCH: u32 = 100;

/// Calls `batch`, which removes so many rows at most and tells how many it did, until the token is cancelled. `what` is for the log.
pub(super) async fn purge<P>(what: &'static str, batch: impl Fn(i64) -> P + Send, token: CancellationToken)
where
    P: Future<Output = Result<u64, DbError>> + Send,
{
    let purging = async {
        loop {
            let pause = match batch(BATCH.into()).await {
                Ok(purged) if purged >= BATCH.into() => BETWEEN,
                Ok(_) => EVERY,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "purging {what}, trying again later");
                    EVERY
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    token.run_until_cancelled(purging).await;
}
