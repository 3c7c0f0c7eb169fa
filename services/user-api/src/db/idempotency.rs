//! Idempotency keys: what they stand for, and for how long.

use platform::postgres::{Kept, bounded};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::DbError;
use crate::domain::IdempotencyKey;

/// What a key stands for.
#[derive(Debug, sqlx::FromRow)]
pub struct Claimed {
    /// Older than 24 hours: the key counts as absent.
    pub expired: bool,
    /// The user that was registered with it.
    pub id: Uuid,
    /// Their name.
    pub username: String,
    /// Their address.
    pub email: String,
    /// Their language.
    pub locale: Option<String>,
    /// Their password, hashed.
    pub password_hash: String,
    /// When.
    pub created_at: OffsetDateTime,
}

/// Looks a key up.
///
/// # Errors
/// [`DbError`]
pub async fn find_key(db: &Kept, key: &IdempotencyKey) -> Result<Option<Claimed>, DbError> {
    let found = sqlx::query_as(
        "SELECT k.created_at < now() - interval '24 hours' AS expired,
                u.id, u.username, u.email, u.locale, u.password_hash, u.created_at
         FROM idempotency_keys k JOIN users u ON u.id = k.user_id
         WHERE k.key = $1",
    );
    let asking = async {
        let mut held = db.held().await?;
        let found = found.bind(key.as_str()).fetch_optional(&mut *held).await;
        held.settle(found)
    };
    Ok(bounded(asking).await?)
}

/// Removes a key that has expired, and leaves one that has not.
///
/// # Errors
/// [`DbError`]
pub async fn forget_expired_key(db: &Kept, key: &IdempotencyKey) -> Result<(), DbError> {
    let sql = "DELETE FROM idempotency_keys WHERE key = $1 AND created_at < now() - interval '24 hours'";
    let forgetting = async {
        let mut held = db.held().await?;
        let forgotten = sqlx::query(sql).bind(key.as_str()).execute(&mut *held).await;
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
        "DELETE FROM idempotency_keys WHERE key IN (
             SELECT key FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
             ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
         )",
    );
    Ok(bounded(purged.bind(limit).execute(&pool)).await?.rows_affected())
}
