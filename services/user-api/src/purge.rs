//! Removes what has been kept for long enough.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::db;

/// How often expired keys are looked for, and how long to wait between two batches.
const EVERY: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(40);
/// Keys a batch: a millisecond of the database's time. With 500 of them the slowest hundredth of the registrations beside it was the
/// length of a batch.
const BATCH: u32 = 100;

/// Purges expired idempotency keys until the token is cancelled.
pub(crate) async fn run(pool: PgPool, token: CancellationToken) {
    let purge = async {
        loop {
            let pause = match db::purge_expired_keys(&pool, BATCH.into()).await {
                Ok(purged) if purged >= BATCH.into() => BETWEEN,
                Ok(_) => EVERY,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "purging idempotency keys, trying again later"
                    );
                    EVERY
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    token.run_until_cancelled(purge).await;
}
