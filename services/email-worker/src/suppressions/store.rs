//! The table `suppressions`. Whether an address is in it is asked where its task is claimed: `ledger/sql.rs`.

use std::time::Duration;

use platform::postgres::Statement;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Where a suppression is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A mail server did not know the address.
    Bounce,
    /// Somebody added it.
    Command,
    /// It was in a file.
    Import,
}

impl Source {
    /// As it stands in the table.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Command => "command",
            Self::Import => "import",
        }
    }
}

/// Suppresses addresses for so long. One that is suppressed already stays so for the longer time of the two, with the reason
/// that it has. Answers how many were not.
#[derive(Debug)]
pub struct Remember {
    /// Sorted, each once.
    pub hashes: Vec<Vec<u8>>,
    /// Why, for each.
    pub reasons: Vec<String>,
    /// Which key they were hashed with.
    pub key_id: String,
    /// Where they are from.
    pub source: Source,
    /// For how long.
    pub ttl: Duration,
}

impl Statement for Remember {
    type Answer = u64;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<u64> {
        // What has run out and is not purged yet begins anew.
        let new: i64 = sqlx::query_scalar(
            "WITH kept AS (
                 INSERT INTO suppressions AS held (hash, key_id, reason, source, until)
                 SELECT asked.hash, $3, asked.reason, $4, now() + make_interval(secs => $5)
                 FROM unnest($1::bytea[], $2::text[]) AS asked (hash, reason)
                 ON CONFLICT (hash) DO UPDATE SET
                     reason = CASE WHEN held.until > now() THEN held.reason ELSE excluded.reason END,
                     source = CASE WHEN held.until > now() THEN held.source ELSE excluded.source END,
                     since = CASE WHEN held.until > now() THEN held.since ELSE excluded.since END,
                     until = greatest(held.until, excluded.until)
                 RETURNING since = now() AS is_new
             )
             SELECT count(*) FILTER (WHERE is_new) FROM kept",
        )
        .bind(&self.hashes)
        .bind(&self.reasons)
        .bind(&self.key_id)
        .bind(self.source.slug())
        .bind(self.ttl.as_secs_f64())
        .fetch_one(conn)
        .await?;
        Ok(u64::try_from(new).unwrap_or(0))
    }
}

/// Ends suppressions. Answers how many there were.
#[derive(Debug)]
pub struct Forget {
    /// Of these addresses.
    pub hashes: Vec<Vec<u8>>,
    /// Only those that a mail server's refusal led to.
    pub bounces_alone: bool,
}

impl Statement for Forget {
    type Answer = u64;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<u64> {
        let done = sqlx::query(
            "WITH gone AS (DELETE FROM suppressions WHERE hash = ANY ($1) AND (source = 'bounce' OR NOT $2) RETURNING until)
             SELECT FROM gone WHERE until > now()",
        )
        .bind(&self.hashes)
        .bind(self.bounces_alone)
        .execute(conn)
        .await?;
        Ok(done.rows_affected())
    }
}

/// A suppression as people see it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Suppressed {
    /// Hash of the address.
    pub hash: Vec<u8>,
    /// Which key it was hashed with.
    pub key_id: String,
    /// Why.
    pub reason: String,
    /// Where it is from.
    pub source: String,
    /// Since when.
    pub since: OffsetDateTime,
    /// Until when.
    pub until: OffsetDateTime,
}

/// The one that holds for an address, the longest of them.
#[derive(Debug)]
pub struct Find {
    /// What the address is known by.
    pub hashes: Vec<Vec<u8>>,
}

impl Statement for Find {
    type Answer = Option<Suppressed>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Option<Suppressed>> {
        sqlx::query_as(
            "SELECT hash, key_id, reason, source, since, until FROM suppressions
             WHERE hash = ANY ($1) AND until > now() ORDER BY until DESC LIMIT 1",
        )
        .bind(&self.hashes)
        .fetch_optional(conn)
        .await
    }
}

/// Those that hold, the latest first.
#[derive(Debug)]
pub struct List {
    /// At most so many.
    pub limit: i64,
}

impl Statement for List {
    type Answer = Vec<Suppressed>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Suppressed>> {
        sqlx::query_as(
            "SELECT hash, key_id, reason, source, since, until FROM suppressions
             WHERE until > now() ORDER BY since DESC, hash LIMIT $1",
        )
        .bind(self.limit)
        .fetch_all(conn)
        .await
    }
}

/// Lets the planner know what has come to be there: the plan of a claim was perhaps made while the table was empty.
#[derive(Debug)]
pub struct Analyze;

impl Statement for Analyze {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query("ANALYZE suppressions").execute(conn).await.map(drop)
    }
}
