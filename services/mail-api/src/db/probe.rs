//! What the database must be: migrated to the last, and writable.

use platform::postgres::{Found, Probe};
use sqlx::PgConnection;

/// Looks for what the last migration made.
#[derive(Debug)]
pub struct Migrated;

impl Probe for Migrated {
    const PREPARES: bool = true;

    async fn find(&self, connection: &mut PgConnection) -> sqlx::Result<Found> {
        let asked = sqlx::query_as::<_, (bool, bool)>(
            "SELECT to_regclass('sluice.recipients') IS NOT NULL, current_setting('transaction_read_only') = 'off'",
        );
        Ok(match asked.fetch_one(connection).await? {
            (true, true) => Found::Fit,
            (true, false) => Found::ReadOnly,
            (false, _) => Found::Missing("the tables are missing or old: run `mail-api migrate`".to_owned()),
        })
    }
}
