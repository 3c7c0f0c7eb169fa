//! The rows as arrays, and the statements that write them.

use std::time::Duration;

use platform::postgres::{NoAnswer, Statement, ask};
use sqlx::postgres::{PgArguments, types::PgInterval};
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres};

use super::entry::{Attempt, Entry};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Writes mails' rows, from the arrays `$1` to `$13`. What was sent stays so, and what is newer.
macro_rules! upsert {
    () => {
        "INSERT INTO mail_log AS held (day, id, mail_type, recipient, domain, state, reason, detail, attempts, created,
             changed, due, trace_id)
         SELECT * FROM unnest($1::date[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
             $8::text[], $9::int[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::bytea[])
         ON CONFLICT (id, day) DO UPDATE SET
             state = excluded.state, reason = excluded.reason, detail = excluded.detail, attempts = excluded.attempts,
             changed = excluded.changed, due = excluded.due
         WHERE held.state <> 'sent' AND held.changed <= excluded.changed"
    };
}
pub(crate) use upsert;

/// The rows of mails, in the order in which rows are locked, each once.
pub(crate) struct Mails<'e>(Vec<&'e Entry>);

impl<'e> Mails<'e> {
    /// Of two about one mail the later one counts.
    pub(crate) fn of(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        // A mail that was sent stays so, whatever was noted at the same time.
        entries.sort_by_key(|entry| (entry.id, entry.day, std::cmp::Reverse((entry.state == "sent", entry.changed))));
        entries.dedup_by_key(|entry| (entry.id, entry.day));
        Self(entries)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Binds `$1` to `$13`.
    pub(crate) fn bind(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(column(&self.0, |entry| entry.day))
            .bind(column(&self.0, |entry| entry.id))
            .bind(column(&self.0, |entry| entry.mail_type.as_str()))
            .bind(column(&self.0, |entry| entry.recipient.as_ref().map(<[u8; 32]>::as_slice)))
            .bind(column(&self.0, |entry| entry.domain.as_str()))
            .bind(column(&self.0, |entry| entry.state))
            .bind(column(&self.0, |entry| entry.reason))
            .bind(column(&self.0, |entry| entry.detail.as_deref()))
            .bind(column(&self.0, |entry| entry.attempts))
            .bind(column(&self.0, |entry| entry.created))
            .bind(column(&self.0, |entry| entry.changed))
            .bind(column(&self.0, |entry| entry.due))
            .bind(column(&self.0, |entry| entry.trace_id.as_ref().map(<[u8; 16]>::as_slice)))
    }
}

/// One field of all rows.
fn column<'r, R, T>(rows: &[&'r R], field: impl FnMut(&'r R) -> T) -> Vec<T> {
    rows.iter().copied().map(field).collect()
}

/// Writes rows of mails and of attempts.
pub(super) async fn write(pool: &PgPool, mails: &[&Entry], attempts: &[&Attempt]) -> Result<(), NoAnswer> {
    let mails = Mails::of(mails.iter().copied());
    if !mails.is_empty() {
        ask(pool, &WriteMails(mails), ANSWER_WITHIN).await?;
    }
    if !attempts.is_empty() {
        ask(pool, &WriteAttempts(attempts), ANSWER_WITHIN).await?;
    }
    Ok(())
}

struct WriteMails<'e>(Mails<'e>);

impl Statement for WriteMails<'_> {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        self.0.bind(upsert!()).execute(conn).await.map(drop)
    }
}

struct WriteAttempts<'a>(&'a [&'a Attempt]);

impl Statement for WriteAttempts<'_> {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        // A statement whose answer was lost is asked again: an attempt that stands there is the same one.
        sqlx::query(
            "INSERT INTO mail_attempts (day, id, at, number, state, stage, code, enhanced, text, took, worker)
             SELECT * FROM unnest($1::date[], $2::uuid[], $3::timestamptz[], $4::int[], $5::text[], $6::text[], $7::int2[],
                 $8::text[], $9::text[], $10::interval[], $11::text[]) AS new
                 (day, id, at, number, state, stage, code, enhanced, text, took, worker)
             WHERE NOT EXISTS (
                 SELECT FROM mail_attempts AS held WHERE (held.day, held.id, held.at) = (new.day, new.id, new.at)
             )",
        )
        .bind(column(self.0, |attempt| attempt.day))
        .bind(column(self.0, |attempt| attempt.id))
        .bind(column(self.0, |attempt| attempt.at))
        .bind(column(self.0, |attempt| attempt.number))
        .bind(column(self.0, |attempt| attempt.state))
        .bind(column(self.0, |attempt| attempt.stage))
        .bind(column(self.0, |attempt| attempt.code))
        .bind(column(self.0, |attempt| attempt.enhanced.as_deref()))
        .bind(column(self.0, |attempt| attempt.text.as_str()))
        .bind(column(self.0, |attempt| interval(attempt.took)))
        .bind(column(self.0, |attempt| attempt.worker.as_str()))
        .execute(conn)
        .await
        .map(drop)
    }
}

fn interval(took: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(took.as_micros()).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use time::{Date, OffsetDateTime};
    use uuid::Uuid;

    use super::*;

    fn entry(id: u128, state: &'static str, second: i64) -> Entry {
        Entry {
            day: Date::from_ordinal_date(2026, 332).unwrap(),
            id: Uuid::from_u128(id),
            mail_type: "email.welcome".to_owned(),
            recipient: None,
            domain: "example.com".to_owned(),
            state,
            reason: None,
            detail: None,
            attempts: 1,
            created: None,
            changed: OffsetDateTime::from_unix_timestamp(1_800_000_000 + second).unwrap(),
            due: None,
            trace_id: None,
        }
    }

    #[test]
    fn a_statement_writes_a_mail_once_in_the_order_of_ids_and_the_last_word_counts() {
        let entries = [
            entry(3, "retried", 9),
            entry(1, "retried", 1),
            entry(1, "dead", 2),
            entry(2, "sent", 1),
            entry(2, "retried", 5),
            entry(3, "retried", 8),
        ];
        let mails = Mails::of(&entries);
        let written: Vec<_> =
            mails.0.iter().map(|entry| (entry.id.as_u128(), entry.state, entry.changed.second())).collect();
        assert_eq!(written, [(1, "dead", 2), (2, "sent", 1), (3, "retried", 9)]);
    }
}
