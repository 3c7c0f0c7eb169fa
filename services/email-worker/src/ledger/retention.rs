//! Forgets what the ledger has kept long enough, which addresses were suppressed, and events that nobody took for as long.
//!
//! Small batches with a pause between them: a purge holds a few locks for a millisecond or two, on rows that nobody asks for, and
//! is never so long at work that a mail waits for it.

use std::time::Duration;

use platform::postgres::{Statement, ask};
use rand::RngExt as _;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::events;
use crate::ledger::LedgerDown;

/// The fleet purges one at a time: whoever holds this advisory lock. The number is the project's own.
pub const TURN: i64 = 0x51_75_1c_e0_1e_d6_e7;

/// How the purge works; the defaults keep it unnoticeable.
#[derive(Debug, Clone)]
pub struct RetentionOptions {
    /// Rows older than this go, unless a claim on them still holds.
    pub keep: Duration,
    /// Rows a statement.
    pub batch: u32,
    /// Between two batches.
    pub pause: Duration,
    /// Between two purges.
    pub every: Duration,
    /// A batch may take so long.
    pub answer_within: Duration,
}

impl RetentionOptions {
    /// The defaults with this age.
    pub fn new(keep: Duration) -> Self {
        Self {
            keep,
            batch: 200,
            pause: Duration::from_millis(30),
            every: (keep / 20).clamp(Duration::from_secs(1), Duration::from_secs(300)),
            answer_within: Duration::from_secs(5),
        }
    }
}

/// Purges now and then until the token is cancelled. A database that is away is asked again the next time.
pub async fn run(pool: PgPool, options: RetentionOptions, token: CancellationToken) {
    loop {
        // Workers that started together do not ask together.
        let wait = rand::rng().random_range(options.every / 2..=options.every);
        if token.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
        match token.run_until_cancelled(purge(&pool, &options)).await {
            None => return,
            Some(Ok(0)) => {}
            Some(Ok(rows)) => tracing::info!(rows, "old ledger rows, and suppressions that are over, are purged"),
            Some(Err(down)) => {
                tracing::warn!(error = %down, "old ledger rows, or suppressions that are over, could not be purged");
            }
        }
    }
}

/// Purges everything that is due now; returns how many rows went. Nothing when another worker is at it.
///
/// # Errors
/// [`LedgerDown`]; what went is gone, the rest is still due.
pub async fn purge(pool: &PgPool, options: &RetentionOptions) -> Result<u64, LedgerDown> {
    let batch = options.batch;
    let old = purge_all(pool, options, &Purge { due: OLD, keep: options.keep, batch }).await?;
    let over = purge_all(pool, options, &Purge { due: OVER, keep: Duration::ZERO, batch }).await?;
    let unheard = purge_all(pool, options, &Purge { due: UNHEARD, keep: options.keep, batch }).await?;
    if unheard > 0 {
        tracing::error!(events = unheard, "events waited for the broker for too long and are dropped");
        events::lost(unheard);
    }
    Ok(old + over + unheard)
}

async fn purge_all(pool: &PgPool, options: &RetentionOptions, statement: &Purge) -> Result<u64, LedgerDown> {
    let mut purged = 0;
    loop {
        let batch = ask(pool, statement, options.answer_within).await?;
        purged += batch;
        if batch < u64::from(options.batch) {
            return Ok(purged);
        }
        tokio::time::sleep(options.pause).await;
    }
}

/// Rows of the ledger that are old enough. One that a claim holds is passed over.
const OLD: &str = "
    WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine),
    due AS MATERIALIZED (
        SELECT id FROM ledger
        WHERE (SELECT mine FROM turn) AND first_seen < now() - make_interval(secs => $2) AND until < now()
        ORDER BY first_seen LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM ledger WHERE id IN (SELECT id FROM due)";
/// Suppressions that are over.
const OVER: &str = "
    WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine),
    due AS MATERIALIZED (
        SELECT hash FROM suppressions
        WHERE (SELECT mine FROM turn) AND until < now() - make_interval(secs => $2)
        ORDER BY until LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM suppressions WHERE hash IN (SELECT hash FROM due)";

/// Events that no relay could bring to the broker in all that time. Their ids tell when they were written.
const UNHEARD: &str = "
    WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine),
    due AS MATERIALIZED (
        SELECT id FROM mail_events
        WHERE (SELECT mine FROM turn) AND id < rpad(
            lpad(to_hex((extract(epoch FROM now() - make_interval(secs => $2)) * 1000)::bigint), 12, '0'), 32, '0'
        )::uuid
        ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM mail_events WHERE id IN (SELECT id FROM due)";

/// Deletes a batch of rows; answers how many there were.
struct Purge {
    /// [`OLD`], [`OVER`] or [`UNHEARD`].
    due: &'static str,
    keep: Duration,
    batch: u32,
}

impl Statement for Purge {
    type Answer = u64;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<u64> {
        // The lock is the transaction's, and ends with it.
        let purged = sqlx::query(self.due).bind(TURN).bind(self.keep.as_secs_f64()).bind(i64::from(self.batch));
        Ok(purged.execute(conn).await?.rows_affected())
    }
}
