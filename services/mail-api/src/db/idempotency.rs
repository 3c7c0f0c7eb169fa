//! Idempotency keys: which mails they stand for, and for how long.

use platform::postgres::{DbError, Kept, bounded};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;
use web::IdempotencyKey;

/// What a key stands for.
#[derive(Debug, sqlx::FromRow)]
pub struct Before {
    /// Older than 24 hours: the key counts as absent.
    pub expired: bool,
    /// A hash of the request.
    pub fingerprint: Vec<u8>,
    /// The mails that could be taken, in the order of the request; `None` for what was too much for its recipient.
    pub ids: Vec<Option<Uuid>>,
    /// Of a batch, for each mail: why it could not be taken, or null for those of `ids`.
    pub refused: Option<Value>,
}

/// Looks a key of a caller up.
///
/// # Errors
/// [`DbError`]
pub async fn find_before(db: &Kept, api_key: &str, key: &IdempotencyKey) -> Result<Option<Before>, DbError> {
    let found = sqlx::query_as(
        "SELECT created_at < now() - interval '24 hours' AS expired, fingerprint, ids, refused
         FROM sluice.idempotency_keys WHERE api_key = $1 AND key = $2",
    );
    let asking = async {
        let mut held = db.held().await?;
        let found = found.bind(api_key).bind(key.as_str()).fetch_optional(&mut *held).await;
        held.settle(found)
    };
    Ok(bounded(asking).await?)
}

/// Removes a key that has expired, and leaves one that has not.
///
/// # Errors
/// [`DbError`]
pub async fn forget_expired_key(db: &Kept, api_key: &str, key: &IdempotencyKey) -> Result<(), DbError> {
    let sql = "DELETE FROM sluice.idempotency_keys
               WHERE api_key = $1 AND key = $2 AND created_at < now() - interval '24 hours'";
    let forgetting = async {
        let mut held = db.held().await?;
        let forgotten = sqlx::query(sql).bind(api_key).bind(key.as_str()).execute(&mut *held).await;
        held.settle(forgotten)
    };
    bounded(forgetting).await?;
    Ok(())
}

/// Removes the oldest expired keys, `limit` at most; returns how many. Skips what somebody else is removing.
///
/// # Errors
/// [`DbError`]
pub async fn purge_expired_keys(pool: PgPool, limit: i64) -> Result<u64, DbError> {
    let purged = sqlx::query(
        "DELETE FROM sluice.idempotency_keys WHERE (api_key, key) IN (
             SELECT api_key, key FROM sluice.idempotency_keys WHERE created_at < now() - interval '24 hours'
             ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
         )",
    );
    Ok(bounded(purged.bind(limit).execute(&pool)).await?.rows_affected())
}
