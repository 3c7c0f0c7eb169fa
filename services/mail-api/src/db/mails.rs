//! The one statement that takes mails.

use std::collections::BTreeMap;
use std::fmt;

use platform::postgres::{DbError, Kept, bounded};
use platform::telemetry::context::Carrier;
use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;
use web::IdempotencyKey;

use super::RecipientLimit;

/// A mail to be taken.
pub struct NewMail {
    /// The id of the message.
    pub id: Uuid,
    /// Its type.
    pub task_type: String,
    /// Its body.
    pub body: Vec<u8>,
    /// It is of no use after that.
    pub expires_at: Option<OffsetDateTime>,
    /// `normal` or `high`.
    pub priority: &'static str,
    /// The recipient, hashed.
    pub recipient: [u8; 32],
}

impl fmt::Debug for NewMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMail").field("id", &self.id).field("task_type", &self.task_type).finish_non_exhaustive()
    }
}

/// A request that may be repeated.
#[derive(Debug)]
pub struct Repeatable<'a> {
    /// Whose key it is.
    pub api_key: &'a str,
    /// The key.
    pub key: &'a IdempotencyKey,
    /// A hash of what is asked for.
    pub fingerprint: [u8; 32],
}

/// Everything that one request commits.
#[derive(Debug)]
pub struct Batch<'a> {
    /// In their order.
    pub mails: &'a [NewMail],
    /// Of all that were asked for: why it can't be taken, or null for those that are here.
    pub refused: Option<&'a Value>,
    /// For the next time.
    pub repeatable: Option<&'a Repeatable<'a>>,
    /// The trace they belong to.
    pub trace: &'a Carrier,
    /// How many a recipient gets.
    pub limit: RecipientLimit,
}

/// How it ended, if not in an error.
#[derive(Debug)]
pub enum Inserted {
    /// Committed, as far as the recipients' limit allows.
    Committed(Vec<Outcome>),
    /// The idempotency key is there already; nothing was written.
    KeyTaken,
}

/// What became of one mail.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Outcome {
    /// It is in the outbox.
    pub taken: bool,
    /// Seconds until the recipient may have one more.
    pub wait: Option<f64>,
}

/// Without a join: a planner that takes 500 rows for 10 would compare each with each. Recipients come sorted and counted, and a mail knows
/// its recipient's place among them and its own among theirs. Rows of recipients are locked in that order, so that two requests never wait
/// for each other.
const STATEMENT: &str = "
WITH granted AS (
    INSERT INTO sluice.recipients AS known (recipient, granted, whole_at)
    SELECT recipient, least(mails, $10::int), now() + make_interval(secs => least(mails, $10::int) * $11::float8)
    FROM unnest($8::bytea[], $9::int[]) AS wanted (recipient, mails) WHERE $10::int > 0
    ON CONFLICT (recipient) DO UPDATE SET
        granted = least(EXCLUDED.granted, sluice.mails_left(known.whole_at, $10::int, $11::float8)),
        whole_at = greatest(known.whole_at, now()) + make_interval(
            secs => least(EXCLUDED.granted, sluice.mails_left(known.whole_at, $10::int, $11::float8)) * $11::float8)
    RETURNING recipient, granted, extract(epoch FROM whole_at - now())::float8 - ($10::int - 1) * $11::float8 AS wait
), had AS (
    SELECT array_agg(granted ORDER BY recipient) AS granted, array_agg(wait ORDER BY recipient) AS wait FROM granted
), mails AS MATERIALIZED (
    SELECT mail.*, had.granted IS NULL OR mail.place <= had.granted[mail.whose] AS taken, had.wait[mail.whose] AS wait
    FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[], $5::text[], $6::int[], $7::int[])
         WITH ORDINALITY AS mail (id, task_type, body, expires_at, priority, whose, place, n), had
), queued AS (
    INSERT INTO sluice.outbox (id, task_type, body, traceparent, tracestate, expires_at, priority)
    SELECT id, task_type, body, $12, $13, expires_at, priority FROM mails WHERE taken ORDER BY n
), noted AS (
    INSERT INTO sluice.idempotency_keys (api_key, key, fingerprint, ids, refused)
    SELECT $14, $15, $16, array_agg(CASE WHEN taken THEN id END ORDER BY n), $17
    FROM mails WHERE $15::text IS NOT NULL HAVING bool_or(taken)
)
SELECT taken, wait FROM mails ORDER BY n";

/// Commits the mails that their recipients may still have, and the idempotency key, or nothing: one statement, one round trip. A second
/// request with the same key or recipient waits here until the first has ended. Where no mail is taken, no key is kept.
///
/// # Errors
/// [`DbError`]; after `Unavailable` it may have been committed all the same.
pub async fn insert_mails(db: &Kept, batch: &Batch<'_>) -> Result<Inserted, DbError> {
    let (mails, repeatable) = (batch.mails, batch.repeatable);
    let Recipients { sorted, counts, whose, places } = Recipients::of(mails);
    let statement = sqlx::query_as::<_, Outcome>(STATEMENT)
        .bind(mails.iter().map(|mail| mail.id).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.task_type.as_str()).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.body.as_slice()).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.expires_at).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.priority).collect::<Vec<_>>())
        .bind(whose)
        .bind(places)
        .bind(sorted)
        .bind(counts)
        .bind(batch.limit.quota())
        .bind(batch.limit.every())
        .bind(batch.trace.traceparent.as_deref())
        .bind(batch.trace.tracestate.as_deref())
        .bind(repeatable.map(|it| it.api_key))
        .bind(repeatable.map(|it| it.key.as_str()))
        .bind(repeatable.map(|it| it.fingerprint.as_slice()))
        .bind(batch.refused);
    let inserting = async {
        let mut held = db.held().await?;
        let inserted = statement.fetch_all(&mut *held).await;
        held.settle(inserted)
    };
    match bounded(inserting).await {
        Ok(outcomes) => Ok(Inserted::Committed(outcomes)),
        Err(error) => {
            let violated = error.as_database_error().and_then(|error| error.constraint());
            if violated == Some("idempotency_keys_pkey") { Ok(Inserted::KeyTaken) } else { Err(error.into()) }
        }
    }
}

/// The recipients of mails, as the statement wants them.
struct Recipients {
    /// Each once, in order.
    sorted: Vec<Vec<u8>>,
    /// How many mails each would get.
    counts: Vec<i32>,
    /// For each mail its recipient's place among the sorted, from 1.
    whose: Vec<i32>,
    /// For each mail its own place among its recipient's, from 1.
    places: Vec<i32>,
}

impl Recipients {
    fn of(mails: &[NewMail]) -> Self {
        let mut all: BTreeMap<[u8; 32], i32> = mails.iter().map(|mail| (mail.recipient, 0)).collect();
        let mut places = Vec::with_capacity(mails.len());
        for mail in mails {
            let count = all.entry(mail.recipient).or_default();
            *count += 1;
            places.push(*count);
        }
        let order: BTreeMap<_, _> = all.keys().zip(1_i32..).collect();
        let whose = mails.iter().filter_map(|mail| order.get(&mail.recipient).copied()).collect();
        let sorted = all.keys().map(|recipient| recipient.to_vec()).collect();
        Self { sorted, counts: all.values().copied().collect(), whose, places }
    }
}
