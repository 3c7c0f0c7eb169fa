//! The tables of reports.

use std::time::Duration;

use platform::postgres::Statement;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::SILENT_SECONDS;

/// What a worker says of itself, and what it did since it did so the last time.
#[derive(Debug)]
pub(crate) struct Report {
    pub(super) worker: Uuid,
    pub(super) name: String,
    pub(super) circuit: &'static str,
    pub(super) cause: Option<&'static str>,
    pub(super) in_flight: i32,
    pub(super) rate: Option<String>,
    pub(super) throttled: Option<String>,
    /// Of the mail that was accepted last, and how long ago that was.
    pub(super) last_delay: Option<(Duration, Duration)>,
    pub(super) counts: Vec<(&'static str, &'static str, u64)>,
}

impl Statement for Report {
    type Answer = ();

    /// What is old goes on this occasion.
    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let (kinds, (reasons, counts)): (Vec<&str>, (Vec<&str>, Vec<i64>)) = self
            .counts
            .iter()
            .map(|(kind, reason, count)| (*kind, (*reason, i64::try_from(*count).unwrap_or(i64::MAX))))
            .unzip();
        sqlx::query(
            "WITH old_reports AS (DELETE FROM worker_reports WHERE seen_at < now() - interval '1 hour' AND worker <> $1),
                  old_minutes AS (DELETE FROM fleet_minutes WHERE minute < now() - interval '2 days'),
                  counted AS (
                      INSERT INTO fleet_minutes (minute, kind, reason, count)
                      SELECT date_trunc('minute', now()), * FROM unnest($11::text[], $12::text[], $13::bigint[])
                      ON CONFLICT (minute, kind, reason) DO UPDATE SET count = fleet_minutes.count + excluded.count
                  )
             INSERT INTO worker_reports
                 (worker, name, version, circuit, cause, in_flight, rate, throttled, last_delay, last_delay_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() - make_interval(secs => $10))
             ON CONFLICT (worker) DO UPDATE SET
                 seen_at = now(), circuit = excluded.circuit, cause = excluded.cause, in_flight = excluded.in_flight,
                 rate = excluded.rate, throttled = excluded.throttled, last_delay = excluded.last_delay,
                 last_delay_at = excluded.last_delay_at",
        )
        .bind(self.worker)
        .bind(&self.name)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(self.circuit)
        .bind(self.cause)
        .bind(self.in_flight)
        .bind(&self.rate)
        .bind(&self.throttled)
        .bind(self.last_delay.map(|(delay, _)| delay.as_secs_f64()))
        .bind(self.last_delay.map(|(_, ago)| ago.as_secs_f64()))
        .bind(kinds)
        .bind(reasons)
        .bind(counts)
        .execute(conn)
        .await
        .map(drop)
    }
}

/// This worker ends in good order.
#[derive(Debug)]
pub(super) struct Gone(pub(super) Uuid);

impl Statement for Gone {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM worker_reports WHERE worker = $1").bind(self.0).execute(conn).await.map(drop)
    }
}

/// How many messages are in queues at the moment, by kind of queue.
#[derive(Debug)]
pub(crate) struct Queued(pub(crate) [(&'static str, i64); 4]);

impl Statement for Queued {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let (kinds, counts): (Vec<&str>, Vec<i64>) = self.0.iter().copied().unzip();
        sqlx::query(
            "INSERT INTO fleet_minutes (minute, kind, count)
             SELECT date_trunc('minute', now()), * FROM unnest($1::text[], $2::bigint[])
             ON CONFLICT (minute, kind, reason) DO UPDATE SET count = excluded.count",
        )
        .bind(kinds)
        .bind(counts)
        .execute(conn)
        .await
        .map(drop)
    }
}

/// A worker that is alive, as it said the last time.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Worker {
    /// The pod's name.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// closed, open, half-open.
    pub circuit: String,
    /// Why it is not closed.
    pub cause: Option<String>,
    /// Tasks that it has.
    pub in_flight: i32,
    /// The rate that the fleet keeps to.
    pub rate: Option<String>,
    /// What the mail server said where it takes less than the ceiling.
    pub throttled: Option<String>,
    /// How old the task was of the mail that was accepted last, in seconds.
    pub last_delay: Option<f64>,
    /// When that was.
    pub last_delay_at: Option<OffsetDateTime>,
}

/// The workers that are alive.
#[derive(Debug)]
pub(crate) struct Read;

impl Statement for Read {
    type Answer = Vec<Worker>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Worker>> {
        sqlx::query_as(
            "SELECT name, version, started_at, circuit, cause, in_flight, rate, throttled, last_delay, last_delay_at
             FROM worker_reports WHERE seen_at > now() - make_interval(secs => $1) ORDER BY name, started_at LIMIT 1000",
        )
        .bind(SILENT_SECONDS)
        .fetch_all(conn)
        .await
    }
}

/// A count of a minute.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Minute {
    /// How many minutes ago it began; 0 is this one.
    pub ago: i32,
    /// What is counted.
    pub kind: String,
    /// Of dead and refused.
    pub reason: String,
    /// How many.
    pub count: i64,
}

/// The last hour, the latest first.
#[derive(Debug)]
pub(crate) struct Minutes;

impl Statement for Minutes {
    type Answer = Vec<Minute>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Minute>> {
        sqlx::query_as(
            "SELECT (extract(epoch FROM date_trunc('minute', now()) - minute) / 60)::int AS ago, kind, reason, count
             FROM fleet_minutes WHERE minute > now() - interval '61 minutes' ORDER BY minute DESC LIMIT 20000",
        )
        .fetch_all(conn)
        .await
    }
}
