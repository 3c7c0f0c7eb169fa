//! The outbox: the relay's statements. Their order is checked in `tests/models/src/relay.rs`.

use std::time::Duration;

use platform::postgres::bounded;
use platform::telemetry::context::Carrier;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool, Postgres, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

/// Rows that are counted at most: a backlog of millions need not be counted to the last.
const COUNTED: i64 = 100_000;

/// A task that waits to be published.
#[derive(Debug)]
pub struct Task {
    /// The message id.
    pub id: Uuid,
    /// What the body is.
    pub task_type: String,
    /// The body of the message.
    pub body: Vec<u8>,
    /// The trace of the request that it came from.
    pub trace: Carrier,
    /// When it was committed.
    pub created_at: OffsetDateTime,
}

impl FromRow<'_, sqlx::postgres::PgRow> for Task {
    fn from_row(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            task_type: row.try_get("task_type")?,
            body: row.try_get("body")?,
            trace: Carrier { traceparent: row.try_get("traceparent")?, tracestate: row.try_get("tracestate")? },
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Rows that are locked by this relay until [`Claim::finish`]. Dropped, they are free again.
///
/// Its connection goes back into the pool only after the end of the transaction. Cut short at any point it is closed instead:
/// a `BEGIN` that nobody waited for may be done later by a server that stood still, and whoever used the connection next would
/// be told of a commit that never comes. (sqlx's own transaction rolls back only what it knows to have begun.)
#[derive(Debug)]
pub struct Claim(Option<PoolConnection<Postgres>>);

/// Claims the oldest `limit` tasks behind the id `behind` that no other relay holds. `idle` is how long the claim survives without a word from
/// us: a replica that froze must not hold its rows for ever.
///
/// # Errors
/// The database is away, or refuses.
pub async fn claim(pool: &PgPool, behind: Uuid, limit: u16, idle: Duration) -> sqlx::Result<(Claim, Vec<Task>)> {
    bounded(async {
        let mut claim = Claim(Some(pool.acquire().await?));
        let tasks = claim.begin(behind, limit, idle).await?;
        Ok((claim, tasks))
    })
    .await
}

impl Claim {
    async fn begin(&mut self, behind: Uuid, limit: u16, idle: Duration) -> sqlx::Result<Vec<Task>> {
        let connection = self.connection()?;
        let begin = format!("BEGIN; SET LOCAL idle_in_transaction_session_timeout = {}", idle.as_millis());
        // Safe: a number of ours is all that varies.
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await?;
        sqlx::query_as(
            "SELECT id, task_type, body, traceparent, tracestate, created_at FROM outbox
             WHERE id > $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED",
        )
        .bind(behind)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
    }

    /// Deletes what was published and confirmed, and frees the rest.
    ///
    /// # Errors
    /// The database is away, or took the claim back: the tasks will be published again, with the same ids.
    pub async fn finish(mut self, published: &[Uuid]) -> sqlx::Result<()> {
        bounded(async {
            let connection = self.connection()?;
            if !published.is_empty() {
                let delete = sqlx::query("DELETE FROM outbox WHERE id = ANY ($1)");
                delete.bind(published).execute(&mut *connection).await?;
            }
            sqlx::raw_sql("COMMIT").execute(connection).await?;
            Ok(())
        })
        .await?;
        drop(self.0.take());
        Ok(())
    }

    fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Without a word to a server that may hang; it rolls back when it sees the connection closed.
        drop(self.0.take().map(PoolConnection::detach));
    }
}

/// How much waits, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    /// Tasks, counted up to 100,000.
    pub depth: u64,
    /// Age of the oldest, in seconds; 0 where none waits.
    pub oldest: f64,
}

/// Looks at the backlog.
///
/// # Errors
/// The database is away, or refuses.
pub async fn backlog(pool: &PgPool) -> sqlx::Result<Backlog> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted) AS depth,
                coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
                          FROM outbox ORDER BY id LIMIT 1), 0) AS oldest",
    );
    let row = bounded(row.bind(COUNTED).fetch_one(pool)).await?;
    let depth: i64 = row.try_get("depth")?;
    let oldest: f64 = row.try_get("oldest")?;
    Ok(Backlog { depth: u64::try_from(depth).unwrap_or(0), oldest: oldest.max(0.0) })
}
