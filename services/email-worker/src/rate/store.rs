//! The row in the database.

use std::time::Duration;

use platform::postgres::{Kept, Statement};
use rand::RngExt as _;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::ceilings::Ceilings;
use super::learnt::{Learnt, Seconds};
use super::row::{Ask, Grant, Row, Terms};
use crate::ledger::LedgerDown;

/// An exchange may take so long; then the database counts as down.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Somebody else was faster so often: something else is wrong. Whoever loses waits at random for a few milliseconds.
const TRIES: u32 = 50;

/// Where the fleet's row is kept: exchanges happen one after the other, for all workers.
pub(super) trait Store: Send + 'static {
    /// Does what is asked to the row as it is now.
    fn exchange(&mut self, ask: &Ask, terms: Terms) -> impl Future<Output = Result<Answer, LedgerDown>> + Send;
}

/// What the row says.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// What was asked for.
    pub(super) grant: Grant,
    /// By the row's clock.
    pub(super) now: Seconds,
    /// The row after it.
    pub(super) row: Row,
}

/// The row of a PostgreSQL database, over a connection of its own.
#[derive(Debug)]
pub(super) struct Database(Kept);

impl Database {
    pub(super) fn new(pool: PgPool) -> Self {
        Self(Kept::one(pool))
    }
}

impl Store for Database {
    async fn exchange(&mut self, ask: &Ask, terms: Terms) -> Result<Answer, LedgerDown> {
        Ok(self.0.ask(&Exchange { ask, terms }, ANSWER_WITHIN).await?)
    }
}

struct Exchange<'a> {
    ask: &'a Ask,
    terms: Terms,
}

impl Statement for Exchange<'_> {
    type Answer = Answer;

    /// Reads the row, decides here, and writes it if nobody else has in the meantime: no lock is held while an answer
    /// travels, so that a worker that dies stops nobody.
    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Answer> {
        for tries in 0..TRIES {
            let Some(read) = read(conn).await? else {
                insert(conn).await?;
                continue;
            };
            let mut row = read.row.clone();
            let grant = row.apply(self.ask, read.now, self.terms);
            if row == read.row || write(conn, &read, &row).await? {
                return Ok(Answer { grant, now: read.now, row });
            }
            if tries >= 3 {
                let wait = rand::rng().random_range(0..5_000);
                tokio::time::sleep(Duration::from_micros(wait)).await;
            }
        }
        Err(sqlx::Error::Protocol(format!("other workers were faster {TRIES} times")))
    }
}

/// The row as it was read.
struct Read {
    now: Seconds,
    row: Row,
    /// Tells it from every other state, also from those that a worker of an older version wrote.
    version: i64,
    next_free: i64,
}

type Columns = (f64, f64, i64, f64, Option<Json<Learnt>>, Option<Json<Ceilings>>, i64, Option<String>);

async fn read(conn: &mut PgConnection) -> sqlx::Result<Option<Read>> {
    let columns: Option<Columns> = sqlx::query_as(
        "SELECT extract(epoch FROM clock_timestamp())::float8, extract(epoch FROM next_free)::float8,
                (extract(epoch FROM next_free) * 1000000)::int8, spacing, learnt, ceilings, version,
                (SELECT rate FROM sending_controls
                 WHERE kind = 'limit' AND scope = 'fleet' AND (until IS NULL OR until > clock_timestamp()))
         FROM mail_rate",
    )
    .fetch_optional(conn)
    .await?;
    Ok(columns.map(|(now, seconds, next_free, spacing, learnt, ceilings, version, asked)| {
        let learnt = learnt.map(|json| json.0).unwrap_or_default();
        let ceilings = ceilings.map(|json| json.0).unwrap_or_default();
        let asked = asked.and_then(|rate| rate.parse().ok());
        Read { now, row: Row { next_free: seconds, spacing, learnt, ceilings, asked }, version, next_free }
    }))
}

async fn insert(conn: &mut PgConnection) -> sqlx::Result<()> {
    // Long ago, so that the first mail of all does not wait for a spacing to pass.
    sqlx::query("INSERT INTO mail_rate (next_free) VALUES ('epoch') ON CONFLICT DO NOTHING").execute(conn).await?;
    Ok(())
}

async fn write(conn: &mut PgConnection, read: &Read, row: &Row) -> sqlx::Result<bool> {
    let written = sqlx::query(
        "UPDATE mail_rate SET next_free = to_timestamp($1), spacing = $2, learnt = $3, ceilings = $4, version = version + 1
         WHERE version = $5 AND (extract(epoch FROM next_free) * 1000000)::int8 = $6",
    )
    .bind(row.next_free)
    .bind(row.spacing)
    .bind(Json(&row.learnt))
    .bind(Json(&row.ceilings))
    .bind(read.version)
    .bind(read.next_free)
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}
