//! An outbox: the relay's statements. Their order is checked in `tests/models/src/relay.rs`.
//!
//! None is prepared, and none needs what another connection's session has: all go over PgBouncer in transaction mode, of any version.
//! Parsing one for each batch costs less than the round trip that preparing would.

use std::fmt::Write as _;
use std::time::Duration;

use platform::postgres::bounded;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row as _};
use uuid::Uuid;

use crate::kind::Kind;
use crate::table::Table;
use crate::tasks::{Task, Tasks};

/// Rows that are counted at most: a backlog of millions need not be counted to the last.
const COUNTED: i64 = 100_000;

/// Rows that are locked by this relay until [`Claim::finish`]. Dropped, they are free again.
///
/// Its connection goes back into the pool only after the end of the transaction. Cut short at any point it is closed instead:
/// a `BEGIN` that nobody waited for may be done later by a server that stood still, and whoever used the connection next would
/// be told of a commit that never comes. (sqlx's own transaction rolls back only what it knows to have begun.)
#[derive(Debug)]
pub struct Claim {
    connection: Option<PoolConnection<Postgres>>,
    table: Table,
}

/// Claims the oldest `limit` tasks from the id `from` on that no other relay holds. `idle` is how long the claim survives without a word from
/// us: a replica that froze must not hold its rows for ever.
///
/// # Errors
/// The database is away, or refuses.
pub async fn claim(
    pool: &PgPool,
    table: &Table,
    from: Uuid,
    limit: u16,
    idle: Duration,
) -> sqlx::Result<(Claim, Vec<Task>)> {
    claim_of::<Tasks>(pool, table, from, limit, idle).await
}

/// The same of any kind.
pub(crate) async fn claim_of<K: Kind>(
    pool: &PgPool,
    table: &Table,
    from: Uuid,
    limit: u16,
    idle: Duration,
) -> sqlx::Result<(Claim, Vec<K::Row>)> {
    bounded(async {
        let mut claim = Claim { connection: Some(pool.acquire().await?), table: table.clone() };
        let rows = claim.begin::<K>(from, limit, idle).await?;
        Ok((claim, rows))
    })
    .await
}

impl Claim {
    /// One round trip.
    async fn begin<K: Kind>(&mut self, from: Uuid, limit: u16, idle: Duration) -> sqlx::Result<Vec<K::Row>> {
        let (table, columns, idle) = (self.table.name(), K::COLUMNS, idle.as_millis());
        let begin = format!(
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = {idle}; SET LOCAL bytea_output = 'hex';
             SELECT {columns}
             FROM {table} WHERE id >= '{from}' ORDER BY id LIMIT {limit} FOR UPDATE SKIP LOCKED"
        );
        // Safe: numbers and an id of ours, and a name that was quoted.
        let rows = sqlx::raw_sql(AssertSqlSafe(begin)).fetch_all(self.connection()?).await?;
        rows.iter().map(K::read).collect()
    }

    /// Deletes what was published and confirmed, and frees the rest.
    ///
    /// # Errors
    /// The database is away, or took the claim back: the tasks will be published again, with the same ids.
    pub async fn finish(mut self, published: &[Uuid]) -> sqlx::Result<()> {
        let delete = deletion(&self.table, published);
        bounded(async {
            let connection = self.connection()?;
            if !published.is_empty() {
                // Safe: ids, and a name that was quoted.
                sqlx::raw_sql(AssertSqlSafe(delete)).execute(&mut *connection).await?;
            }
            sqlx::raw_sql("COMMIT").execute(connection).await?;
            Ok(())
        })
        .await?;
        drop(self.connection.take());
        Ok(())
    }

    fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Without a word to a server that may hang; it rolls back when it sees the connection closed.
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

fn deletion(table: &Table, ids: &[Uuid]) -> String {
    let mut statement = format!("DELETE FROM {} WHERE id = ANY ('{{", table.name());
    for (n, id) in ids.iter().enumerate() {
        let _ = write!(statement, "{}{id}", if n == 0 { "" } else { "," });
    }
    statement + "}'::uuid[])"
}

/// How much waits, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    /// Rows, counted up to 100,000.
    pub depth: u64,
    /// Age of the oldest, in seconds; 0 where none waits.
    pub oldest: f64,
}

/// Looks at the backlog.
///
/// # Errors
/// The database is away, or refuses.
pub async fn backlog(pool: &PgPool, table: &Table) -> sqlx::Result<Backlog> {
    let table = table.name();
    let look = format!(
        "SELECT (SELECT count(*) FROM (SELECT FROM {table} LIMIT {COUNTED}) AS counted) AS depth,
                (SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
                 FROM {table} WHERE isfinite(created_at) ORDER BY id LIMIT 1) AS oldest"
    );
    // Safe: a number of ours, and a name that was quoted.
    let row = bounded(sqlx::raw_sql(AssertSqlSafe(look)).fetch_one(pool)).await?;
    let depth: i64 = row.try_get("depth")?;
    let oldest: Option<f64> = row.try_get("oldest")?;
    Ok(Backlog { depth: u64::try_from(depth).unwrap_or(0), oldest: oldest.unwrap_or(0.0).max(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_listed_by_its_id() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let table = Table::in_search_path();
        assert_eq!(
            deletion(&table, &[one, other]),
            format!("DELETE FROM outbox WHERE id = ANY ('{{{one},{other}}}'::uuid[])")
        );
        assert_eq!(deletion(&table, &[one]), format!("DELETE FROM outbox WHERE id = ANY ('{{{one}}}'::uuid[])"));
    }
}
