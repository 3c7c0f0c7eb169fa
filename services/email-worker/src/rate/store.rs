//! The row in the database.

use std::time::Duration;

use platform::postgres::{self, Kept, Statement};
use rand::RngExt as _;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::ceilings::Ceilings;
use super::learnt::{Learnt, Seconds};
use super::row::{Ask, Grant, Row, Terms};
use super::scope::Scope;
use crate::ledger::LedgerDown;

/// An exchange may take so long; then the database counts as down.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Somebody else was faster so often: something else is wrong. Whoever loses waits at random for a few milliseconds.
const TRIES: u32 = 50;

/// Where the fleet's row is kept: exchanges happen one after the other, for all workers.
pub(super) trait Store: Send + 'static {
    /// Is it the fleet's, and told in its metrics?
    const OF_FLEET: bool = true;

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

/// The fleet's row of a PostgreSQL database, over a connection of its own.
#[derive(Debug)]
pub(super) struct Database(Kept);

impl Database {
    pub(super) fn new(pool: PgPool) -> Self {
        Self(Kept::one(pool))
    }
}

impl Store for Database {
    async fn exchange(&mut self, ask: &Ask, terms: Terms) -> Result<Answer, LedgerDown> {
        Ok(self.0.ask(&Exchange { ask, terms, of: &Scope::Fleet }, ANSWER_WITHIN).await?)
    }
}

/// The row of a type or a domain. It has no connection of its own: there may be many, and none is in a hurry.
#[derive(Debug)]
pub(super) struct Apart {
    pool: PgPool,
    of: Scope,
}

impl Apart {
    pub(super) fn new(pool: PgPool, of: Scope) -> Self {
        Self { pool, of }
    }
}

impl Store for Apart {
    const OF_FLEET: bool = false;

    async fn exchange(&mut self, ask: &Ask, terms: Terms) -> Result<Answer, LedgerDown> {
        Ok(postgres::ask(&self.pool, &Exchange { ask, terms, of: &self.of }, ANSWER_WITHIN).await?)
    }
}

struct Exchange<'a> {
    ask: &'a Ask,
    terms: Terms,
    of: &'a Scope,
}

impl Statement for Exchange<'_> {
    type Answer = Answer;

    /// Reads the row, decides here, and writes it if nobody else has in the meantime: no lock is held while an answer
    /// travels, so that a worker that dies stops nobody.
    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Answer> {
        for tries in 0..TRIES {
            let Some(read) = read(conn, self.of).await? else {
                insert(conn, self.of).await?;
                continue;
            };
            let mut row = read.row.clone();
            let grant = row.apply(self.ask, read.now, self.terms);
            if row == read.row || write(conn, self.of, &read, &row).await? {
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

/// What was asked for in place of `MAIL_RATE` stands with it.
const READ_FLEET: &str = "SELECT extract(epoch FROM clock_timestamp())::float8, extract(epoch FROM next_free)::float8,
            (extract(epoch FROM next_free) * 1000000)::int8, spacing, learnt, ceilings, version,
            (SELECT rate FROM sending_controls
             WHERE (kind, scope, name) = ('limit', $1, $2) AND (until IS NULL OR until > clock_timestamp()))
     FROM mail_rate";

const READ_APART: &str = "SELECT extract(epoch FROM clock_timestamp())::float8, extract(epoch FROM next_free)::float8,
            (extract(epoch FROM next_free) * 1000000)::int8, spacing, NULL::jsonb, NULL::jsonb, version,
            (SELECT rate FROM sending_controls
             WHERE (kind, scope, name) = ('limit', $1, $2) AND (until IS NULL OR until > clock_timestamp()))
     FROM apart_rates WHERE (scope, name) = ($1, $2)";

async fn read(conn: &mut PgConnection, of: &Scope) -> sqlx::Result<Option<Read>> {
    let (sql, (scope, name)) = (if *of == Scope::Fleet { READ_FLEET } else { READ_APART }, of.columns());
    let columns: Option<Columns> = sqlx::query_as(sql).bind(scope).bind(name).fetch_optional(conn).await?;
    Ok(columns.map(|(now, seconds, next_free, spacing, learnt, ceilings, version, asked)| {
        let learnt = learnt.map(|json| json.0).unwrap_or_default();
        let ceilings = ceilings.map(|json| json.0).unwrap_or_default();
        let asked = asked.and_then(|rate| rate.parse().ok());
        Read { now, row: Row { next_free: seconds, spacing, learnt, ceilings, asked }, version, next_free }
    }))
}

async fn insert(conn: &mut PgConnection, of: &Scope) -> sqlx::Result<()> {
    // Long ago, so that the first mail of all does not wait for a spacing to pass.
    let (scope, name) = of.columns();
    let row = match of {
        Scope::Fleet => sqlx::query("INSERT INTO mail_rate (next_free) VALUES ('epoch') ON CONFLICT DO NOTHING"),
        _ => sqlx::query(
            "INSERT INTO apart_rates (scope, name, next_free) VALUES ($1, $2, 'epoch') ON CONFLICT DO NOTHING",
        )
        .bind(scope)
        .bind(name),
    };
    row.execute(conn).await.map(drop)
}

async fn write(conn: &mut PgConnection, of: &Scope, read: &Read, row: &Row) -> sqlx::Result<bool> {
    let (scope, name) = of.columns();
    let change = match of {
        Scope::Fleet => sqlx::query(
            "UPDATE mail_rate SET next_free = to_timestamp($1), spacing = $2, learnt = $5, ceilings = $6, version = version + 1
             WHERE version = $3 AND (extract(epoch FROM next_free) * 1000000)::int8 = $4",
        ),
        _ => sqlx::query(
            "UPDATE apart_rates SET next_free = to_timestamp($1), spacing = $2, version = version + 1
             WHERE version = $3 AND (extract(epoch FROM next_free) * 1000000)::int8 = $4 AND (scope, name) = ($5, $6)",
        ),
    };
    let change = change.bind(row.next_free).bind(row.spacing).bind(read.version).bind(read.next_free);
    let change = match of {
        Scope::Fleet => change.bind(Json(&row.learnt)).bind(Json(&row.ceilings)),
        _ => change.bind(scope).bind(name),
    };
    Ok(change.execute(conn).await?.rows_affected() == 1)
}
