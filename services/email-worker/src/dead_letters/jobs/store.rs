//! The rows of jobs.

use platform::postgres::Statement;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::Action;
use crate::controls::store::Record;
use crate::dead_letters::Filter;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has begun with it, or somebody who can't go on.
    Waiting,
    /// Somebody does it.
    Running,
    /// There is nothing left to do.
    Done,
    /// An operator ended it before.
    Stopped,
}

impl State {
    /// As it is stored and told.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }

    fn of(slug: &str) -> Option<Self> {
        [Self::Waiting, Self::Running, Self::Done, Self::Stopped].into_iter().find(|state| state.slug() == slug)
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// What is done.
    pub action: Action,
    /// To which letters.
    pub filter: Filter,
    /// How many there were when it was asked for.
    pub meant: i64,
    /// Letters a second, at most.
    pub per_second: u32,
    /// Who asked.
    pub asked_by: String,
    /// Why.
    pub reason: String,
    /// When; what died later is not meant.
    pub asked_at: OffsetDateTime,
    /// How far it is.
    pub state: State,
    /// Letters that left the queue. After a lost connection to the database it may be fewer than there were.
    pub settled: i64,
    /// What kept it from going on, the last time.
    pub trouble: Option<String>,
    /// When it was done, or stopped.
    pub ended_at: Option<OffsetDateTime>,
}

const COLUMNS: &str =
    "id, action, filter, meant, per_second, asked_by, reason, asked_at, state, settled, trouble, ended_at";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    action: String,
    filter: Json<Filter>,
    meant: i64,
    per_second: i32,
    asked_by: String,
    reason: String,
    asked_at: OffsetDateTime,
    state: String,
    settled: i64,
    trouble: Option<String>,
    ended_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Job {
    type Error = sqlx::Error;

    /// Fails for what a newer version wrote.
    fn try_from(row: Row) -> sqlx::Result<Self> {
        let Row {
            id,
            action,
            filter,
            meant,
            per_second,
            asked_by,
            reason,
            asked_at,
            state,
            settled,
            trouble,
            ended_at,
        } = row;
        let strange = || sqlx::Error::Protocol(format!("job {id} is of a newer version"));
        Ok(Self {
            action: action.parse().map_err(|()| strange())?,
            state: State::of(&state).ok_or_else(strange)?,
            per_second: u32::try_from(per_second).map_err(|_| strange())?,
            filter: filter.0,
            id,
            meant,
            asked_by,
            reason,
            asked_at,
            settled,
            trouble,
            ended_at,
        })
    }
}

/// Asks for a job. Answers its number.
#[derive(Debug)]
pub struct Ask<'a> {
    /// What is to be done.
    pub action: Action,
    /// To which letters.
    pub filter: &'a Filter,
    /// How many there are.
    pub meant: i64,
    /// Letters a second, at most.
    pub per_second: u32,
    /// Who asks.
    pub operator: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl Statement for Ask<'_> {
    type Answer = i64;

    /// What ended a month ago goes on this occasion.
    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<i64> {
        let Self { action, filter, meant, per_second, operator, reason } = self;
        sqlx::query_scalar(
            "WITH gone AS (DELETE FROM dead_letter_jobs WHERE ended_at < now() - interval '30 days'),
                  told AS (
                      INSERT INTO operator_actions (operator, action, object, detail) VALUES ($5, $1, 'dead-letters', $7)
                  )
             INSERT INTO dead_letter_jobs (action, filter, meant, per_second, asked_by, reason)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(action.slug())
        .bind(Json(filter))
        .bind(meant)
        .bind(i32::try_from(*per_second).unwrap_or(i32::MAX))
        .bind(operator)
        .bind(reason)
        .bind(format!("{filter}: {meant} meant, {reason}"))
        .fetch_one(conn)
        .await
    }
}

/// The latest jobs, those that are not done first.
#[derive(Debug)]
pub struct List {
    /// At most so many.
    pub limit: i64,
}

impl Statement for List {
    type Answer = Vec<Job>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Job>> {
        let sql = format!("SELECT {COLUMNS} FROM dead_letter_jobs ORDER BY (ended_at IS NULL) DESC, id DESC LIMIT $1");
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(self.limit).fetch_all(conn).await?;
        rows.into_iter().map(Job::try_from).collect()
    }
}

/// One of them.
#[derive(Debug)]
pub struct Find(pub i64);

impl Statement for Find {
    type Answer = Option<Job>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Option<Job>> {
        let sql = format!("SELECT {COLUMNS} FROM dead_letter_jobs WHERE id = $1");
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(self.0).fetch_optional(conn).await?;
        row.map(Job::try_from).transpose()
    }
}

/// Ends a job before it is done. Answers whether it was not done yet.
#[derive(Debug)]
pub struct Stop<'a> {
    /// Which.
    pub id: i64,
    /// Who asks.
    pub operator: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl Statement for Stop<'_> {
    type Answer = bool;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        let stopped: Option<i64> = sqlx::query_scalar(
            "UPDATE dead_letter_jobs SET state = 'stopped', ended_at = now() WHERE id = $1 AND ended_at IS NULL
             RETURNING settled",
        )
        .bind(self.id)
        .fetch_optional(&mut *conn)
        .await?;
        let Some(settled) = stopped else { return Ok(false) };
        let detail = format!("job {} after {settled} letters, {}", self.id, self.reason);
        let done = Record { operator: self.operator, action: "stop", object: "dead-letters", detail: &detail };
        done.ask(conn).await?;
        Ok(true)
    }
}

/// Takes a job that nobody does. A runner of which nothing was heard for so many seconds does it no longer.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) runner: &'a str,
    pub(super) silent_seconds: f64,
}

impl Statement for Claim<'_> {
    type Answer = Option<Job>;

    /// One job at a time: the queue has one reader.
    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Option<Job>> {
        let sql = format!(
            "UPDATE dead_letter_jobs SET state = 'running', runner = $1, seen_at = now()
             WHERE id = (
                 SELECT id FROM dead_letter_jobs
                 WHERE ended_at IS NULL AND (state = 'waiting' OR seen_at < now() - make_interval(secs => $2))
                   AND NOT EXISTS (
                       SELECT FROM dead_letter_jobs
                       WHERE ended_at IS NULL AND state = 'running' AND seen_at >= now() - make_interval(secs => $2)
                   )
                 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
             ) RETURNING {COLUMNS}"
        );
        let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(self.runner).bind(self.silent_seconds);
        let row: Option<Row> = query.fetch_optional(conn).await?;
        row.map(Job::try_from).transpose()
    }
}

/// Tells how far a job is. Answers whether it is still to be done, and by this runner.
#[derive(Debug)]
pub(super) struct Tell<'a> {
    pub(super) id: i64,
    pub(super) runner: &'a str,
    /// Letters that left the queue since it was told the last time.
    pub(super) settled: i64,
    pub(super) then: Then<'a>,
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then<'a> {
    /// It goes on.
    On,
    /// There is nothing left.
    Done,
    /// Somebody else, or this one later.
    Waits(Option<&'a str>),
}

impl Statement for Tell<'_> {
    type Answer = bool;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        let (state, trouble) = match self.then {
            Then::On => (State::Running, None),
            Then::Done => (State::Done, None),
            Then::Waits(trouble) => (State::Waiting, trouble),
        };
        // What left the queue counts also when it was stopped meanwhile.
        let still: Option<bool> = sqlx::query_scalar(
            "UPDATE dead_letter_jobs SET settled = settled + $3, seen_at = now(),
                 state = CASE WHEN ended_at IS NULL AND runner = $2 THEN $4 ELSE state END,
                 ended_at = CASE WHEN ended_at IS NULL AND runner = $2 AND $4 = 'done' THEN now() ELSE ended_at END,
                 trouble = CASE WHEN ended_at IS NULL AND runner = $2 THEN $5 ELSE trouble END
             WHERE id = $1 RETURNING state = 'running' AND runner = $2",
        )
        .bind(self.id)
        .bind(self.runner)
        .bind(self.settled)
        .bind(state.slug())
        .bind(trouble)
        .fetch_optional(conn)
        .await?;
        Ok(still.unwrap_or(false))
    }
}
