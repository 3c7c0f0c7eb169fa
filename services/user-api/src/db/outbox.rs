//! The outbox: the relay's statements.

use std::time::Duration;

use platform::telemetry::context::Carrier;
use sqlx::{FromRow, PgPool, Postgres, Row as _, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bounded;

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
#[derive(Debug)]
pub struct Claim(Transaction<'static, Postgres>);

/// Claims the oldest `limit` tasks that no other relay holds. `idle` is how long the claim survives without a word from
/// us: a replica that froze must not hold its rows for ever.
///
/// # Errors
/// The database is away, or refuses.
pub async fn claim(pool: &PgPool, limit: u16, idle: Duration) -> sqlx::Result<(Claim, Vec<Task>)> {
    bounded(async {
        let mut transaction = pool.begin().await?;
        sqlx::query("SELECT set_config('idle_in_transaction_session_timeout', $1, true)")
            .bind(format!("{}ms", idle.as_millis()))
            .execute(&mut *transaction)
            .await?;
        let tasks = sqlx::query_as(
            "SELECT id, task_type, body, traceparent, tracestate, created_at FROM outbox
             ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
        )
        .bind(i64::from(limit))
        .fetch_all(&mut *transaction)
        .await?;
        Ok((Claim(transaction), tasks))
    })
    .await
}

impl Claim {
    /// Deletes what was published and confirmed, and frees the rest.
    ///
    /// # Errors
    /// The database is away, or took the claim back: the tasks will be published again, with the same ids.
    pub async fn finish(self, published: &[Uuid]) -> sqlx::Result<()> {
        let Self(mut transaction) = self;
        bounded(async {
            if !published.is_empty() {
                let delete = sqlx::query("DELETE FROM outbox WHERE id = ANY ($1)");
                delete.bind(published).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
        .await
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
