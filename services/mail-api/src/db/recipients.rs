//! What recipients have had of their mails: the limit itself is part of the statement in `mails.rs`.

use std::time::Duration;

use platform::postgres::{DbError, bounded};
use sqlx::PgPool;

/// So many mails for one recipient; one comes back after another, evenly over the window.
#[derive(Debug, Clone, Copy)]
pub struct RecipientLimit {
    /// Mails; 0: any number.
    pub quota: u32,
    /// The window.
    pub window: Duration,
}

impl RecipientLimit {
    /// As the database counts.
    pub(super) fn quota(self) -> i32 {
        i32::try_from(self.quota).unwrap_or(i32::MAX)
    }

    /// Seconds until one mail comes back.
    pub(super) fn every(self) -> f64 {
        self.window.as_secs_f64() / f64::from(self.quota.max(1))
    }
}

/// Removes recipients whose quota is whole again, `limit` at most; returns how many.
///
/// # Errors
/// [`DbError`]
pub async fn purge_recipients(pool: PgPool, limit: i64) -> Result<u64, DbError> {
    let purged = sqlx::query(
        "DELETE FROM sluice.recipients WHERE recipient IN (
             SELECT recipient FROM sluice.recipients WHERE whole_at < now()
             ORDER BY whole_at LIMIT $1 FOR UPDATE SKIP LOCKED
         )",
    );
    Ok(bounded(purged.bind(limit).execute(&pool)).await?.rows_affected())
}
