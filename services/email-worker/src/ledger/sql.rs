//! The ledger's statements. Ids come sorted: two statements that meet on the same rows take them in the same order, and
//! neither waits for ever.
//!
//! Claim and mark reach rows through `ON CONFLICT`, which always uses the primary key: no plan made while the table was small
//! can turn into a scan of it later.

use std::time::Duration;

use platform::postgres::Statement;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::Claim as Claimed;
use crate::events::store::{Rows as Events, tell};
use crate::mail_log::store::{Mails, upsert};
use crate::suppressions::AddressHashes;

/// Claims tasks. Answers with the exceptions: what was not claimed, and why not. A row that a later statement of
/// this owner has written is not claimed.
///
/// A row that another transaction writes at this very moment is not seen by the outer query: not claimed, and not known as
/// sent either. It counts as claimed elsewhere, which is what it was when this statement began.
pub(super) struct Claim {
    /// Sorted, each once.
    pub(super) ids: Vec<Uuid>,
    pub(super) owner: Uuid,
    pub(super) fence: i64,
    pub(super) lease: Duration,
}

impl Statement for Claim {
    type Answer = Vec<(Uuid, Claimed)>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Self::Answer> {
        let rows = sqlx::query(
            "WITH claimed AS (
                 INSERT INTO ledger AS held (id, owner, fence, until)
                 SELECT asked.id, $2, $4, now() + make_interval(secs => $3) FROM unnest($1::uuid[]) AS asked (id)
                 ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, fence = excluded.fence, until = excluded.until
                 WHERE held.sent_at IS NULL
                   AND CASE WHEN held.owner = excluded.owner THEN held.fence <= excluded.fence ELSE held.until < now() END
                 RETURNING id
             )
             SELECT asked.id, coalesce((SELECT sent_at IS NOT NULL FROM ledger WHERE ledger.id = asked.id), false)
             FROM unnest($1::uuid[]) AS asked (id)
             WHERE asked.id NOT IN (SELECT id FROM claimed)",
        )
        .bind(&self.ids)
        .bind(self.owner)
        .bind(self.lease.as_secs_f64())
        .bind(self.fence)
        .fetch_all(conn)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, refusal(row.try_get(1)?, false)))).collect()
    }
}

fn refusal(sent: bool, suppressed: bool) -> Claimed {
    match (sent, suppressed) {
        (_, true) => Claimed::Suppressed,
        (true, false) => Claimed::Sent,
        (false, false) => Claimed::Elsewhere,
    }
}

/// The same, but what has a suppressed address is marked as it is claimed: nobody sends it, and a copy of it is known. Or it is claimed
/// alone, and told apart, for whoever marks it with more.
///
/// The addresses are looked up one by one, by their index: no list of them is read to the end.
pub(super) struct ClaimUnlessSuppressed {
    pub(super) claim: Claim,
    /// One for each id, where it may be suppressed.
    pub(super) addresses: Vec<Option<AddressHashes>>,
    pub(super) marks: bool,
}

impl Statement for ClaimUnlessSuppressed {
    type Answer = Vec<(Uuid, Claimed)>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Self::Answer> {
        let Claim { ids, owner, fence, lease } = &self.claim;
        let addresses = || self.addresses.iter().map(Option::as_ref);
        let now: Vec<_> = addresses().map(|address| address.map(|address| address.now.as_slice())).collect();
        let old: Vec<_> = addresses().map(|address| address?.old.as_ref().map(<[u8; 32]>::as_slice)).collect();
        let rows = sqlx::query(
            "WITH asked AS MATERIALIZED (
                 SELECT asked.id, EXISTS (
                     SELECT FROM suppressions
                     WHERE suppressions.hash IN (asked.hash, asked.old) AND suppressions.until > now()
                 ) AS suppressed
                 FROM unnest($1::uuid[], $5::bytea[], $6::bytea[]) AS asked (id, hash, old)
             ), claimed AS (
                 INSERT INTO ledger AS held (id, owner, fence, until, sent_at)
                 SELECT asked.id, $2, $4, now() + make_interval(secs => $3), CASE WHEN asked.suppressed AND $7 THEN now() END FROM asked
                 ON CONFLICT (id) DO UPDATE SET
                     owner = excluded.owner, fence = excluded.fence, until = excluded.until, sent_at = excluded.sent_at
                 WHERE held.sent_at IS NULL
                   AND CASE WHEN held.owner = excluded.owner THEN held.fence <= excluded.fence ELSE held.until < now() END
                 RETURNING id
             )
             SELECT asked.id,
                    coalesce((SELECT sent_at IS NOT NULL FROM ledger WHERE ledger.id = asked.id), false),
                    asked.id IN (SELECT id FROM claimed)
             FROM asked
             WHERE asked.suppressed OR asked.id NOT IN (SELECT id FROM claimed)",
        )
        .bind(ids)
        .bind(owner)
        .bind(lease.as_secs_f64())
        .bind(fence)
        .bind(now)
        .bind(old)
        .bind(self.marks)
        .fetch_all(conn)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, refusal(row.try_get(1)?, row.try_get(2)?)))).collect()
    }
}

/// Marks the tasks of one parameter as sent by the owner in another.
macro_rules! mark {
    ($ids:literal, $owner:literal) => {
        concat!(
            "INSERT INTO ledger (id, owner, until, sent_at)
             SELECT done.id, ",
            $owner,
            ", clock_timestamp(), clock_timestamp() FROM unnest(",
            $ids,
            "::uuid[]) AS done (id)
             ON CONFLICT (id) DO UPDATE SET sent_at = excluded.sent_at, lone_runs = 0"
        )
    };
}

/// Marks tasks as sent. A row that is gone is written anew.
pub(super) struct Mark {
    /// Sorted, each once.
    pub(super) ids: Vec<Uuid>,
    pub(super) owner: Uuid,
}

impl Statement for Mark {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(mark!("$1", "$2")).bind(&self.ids).bind(self.owner).execute(conn).await.map(drop)
    }
}

/// Marks tasks as sent, and writes rows of the mail log and events: as many of the three as there are.
pub(super) struct Record<'e> {
    pub(super) mark: Mark,
    pub(super) mails: Mails<'e>,
    pub(super) events: Events<'e>,
}

impl Record<'_> {
    /// Whether something else is written with the marks.
    pub(super) fn is_more_than_marks(&self) -> bool {
        !self.mails.is_empty() || !self.events.is_empty()
    }
}

impl Statement for Record<'_> {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let Self { mark, mails, events } = self;
        let statement = match (mails.is_empty(), events.is_empty()) {
            (true, true) => return mark.ask(conn).await,
            (false, true) => {
                let sql = concat!("WITH marked AS (", mark!("$14", "$15"), ") ", upsert!());
                mails.bind(sql).bind(&mark.ids).bind(mark.owner)
            }
            (true, false) => {
                let sql = concat!(
                    "WITH marked AS (",
                    mark!("$1", "$2"),
                    ") ",
                    tell!("$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10")
                );
                events.bind(sqlx::query(sql).bind(&mark.ids).bind(mark.owner))
            }
            (false, false) => {
                let sql = concat!(
                    "WITH marked AS (",
                    mark!("$14", "$15"),
                    "), told AS (",
                    tell!("$16", "$17", "$18", "$19", "$20", "$21", "$22", "$23"),
                    ") ",
                    upsert!()
                );
                events.bind(mails.bind(sql).bind(&mark.ids).bind(mark.owner))
            }
        };
        statement.execute(conn).await.map(drop)
    }
}

/// Ends the owner's claims on what is unsent, but not those that came later.
pub(super) struct Release {
    pub(super) ids: Vec<Uuid>,
    pub(super) owner: Uuid,
    pub(super) fence: i64,
}

impl Statement for Release {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "WITH ours AS (
                 SELECT id FROM ledger
                 WHERE id = ANY ($1) AND owner = $2 AND fence < $3 AND sent_at IS NULL
                 ORDER BY id FOR UPDATE
             )
             UPDATE ledger SET until = '-infinity', fence = $3 FROM ours WHERE ledger.id = ours.id",
        )
        .bind(&self.ids)
        .bind(self.owner)
        .bind(self.fence)
        .execute(conn)
        .await
        .map(drop)
    }
}

/// Counts the beginning of a lone run.
pub(super) struct BeginLoneRun {
    pub(super) id: Uuid,
    pub(super) owner: Uuid,
}

impl Statement for BeginLoneRun {
    type Answer = u16;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<u16> {
        let runs: i16 = sqlx::query_scalar(
            "INSERT INTO ledger AS held (id, owner, until, lone_runs) VALUES ($1, $2, now(), 1)
             ON CONFLICT (id) DO UPDATE SET lone_runs = least(held.lone_runs, 32766) + 1
             RETURNING lone_runs",
        )
        .bind(self.id)
        .bind(self.owner)
        .fetch_one(conn)
        .await?;
        Ok(u16::try_from(runs).unwrap_or(0))
    }
}

/// Forgets the lone runs, and ends the owner's claim. Where the claim has become another's, only the owner's own run is
/// forgotten: that one counts its runs too.
pub(super) struct EndLoneRun {
    pub(super) id: Uuid,
    pub(super) owner: Uuid,
    pub(super) fence: i64,
}

impl Statement for EndLoneRun {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE ledger SET
                 lone_runs = CASE WHEN owner = $2 THEN 0 ELSE greatest(lone_runs - 1, 0) END,
                 until = CASE WHEN owner = $2 AND sent_at IS NULL THEN '-infinity' ELSE until END,
                 fence = CASE WHEN owner = $2 THEN $3 ELSE fence END
             WHERE id = $1 AND (owner <> $2 OR fence < $3)",
        )
        .bind(self.id)
        .bind(self.owner)
        .bind(self.fence)
        .execute(conn)
        .await
        .map(drop)
    }
}

/// Are the tables there, as this binary knows them, and does the database take writes?
pub(super) struct Probe;

/// What a probe finds.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(super) struct Probed {
    pub(super) writable: bool,
    /// What time it is there, in seconds since 1970.
    pub(super) now: f64,
}

impl Statement for Probe {
    type Answer = Probed;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Probed> {
        sqlx::query_as(
            "SELECT current_setting('transaction_read_only') = 'off' AS writable,
                    extract(epoch FROM clock_timestamp())::float8 AS now
             FROM (SELECT count(*) FROM (SELECT sent_at, lone_runs, first_seen, fence FROM ledger LIMIT 1) AS task) AS tasks,
                  (SELECT count(*) FROM (SELECT spacing, learnt, version, ceilings FROM mail_rate LIMIT 1) AS rate) AS rates,
                  (SELECT count(*) FROM (SELECT hash, key_id FROM suppressions LIMIT 1) AS address) AS addresses,
                  (SELECT count(*) FROM (SELECT state, due, trace_id FROM mail_log WHERE false) AS mail) AS mails,
                  (SELECT count(*) FROM (SELECT kind, at_once, until FROM sending_controls LIMIT 1) AS control) AS controls,
                  (SELECT count(*) FROM (SELECT number FROM circuit_closings LIMIT 1) AS closing) AS closings,
                  (SELECT count(*) FROM (SELECT per_second, trouble FROM dead_letter_jobs LIMIT 1) AS job) AS jobs,
                  (SELECT count(*) FROM (SELECT last_delay_at FROM worker_reports LIMIT 1) AS report) AS reports,
                  (SELECT count(*) FROM (SELECT minute, reason FROM fleet_minutes LIMIT 1) AS minute) AS minutes,
                  (SELECT count(*) FROM (SELECT event_id, event_type FROM mail_events LIMIT 1) AS event) AS events",
        )
        .fetch_one(conn)
        .await
    }
}
