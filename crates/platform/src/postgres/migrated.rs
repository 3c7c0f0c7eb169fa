//! What the database of a service must be: migrated to the last, and writable.

use sqlx::{AssertSqlSafe, PgConnection};

use super::watch::{Found, Probe};

/// Looks for what the last migration made.
#[derive(Debug, Clone, Copy)]
pub struct Migrated {
    /// A condition in SQL that holds once it is there.
    pub made: &'static str,
    /// The command that makes it.
    pub command: &'static str,
}

impl Probe for Migrated {
    const PREPARES: bool = true;

    async fn find(&self, connection: &mut PgConnection) -> sqlx::Result<Found> {
        let Self { made, command } = self;
        let asked = format!("SELECT {made}, current_setting('transaction_read_only') = 'off'");
        let asked = sqlx::query_as::<_, (bool, bool)>(AssertSqlSafe(asked));
        Ok(match asked.fetch_one(connection).await? {
            (true, true) => Found::Fit,
            (true, false) => Found::ReadOnly,
            (false, _) => Found::Missing(format!("the tables are missing or old: run `{command}`")),
        })
    }
}
