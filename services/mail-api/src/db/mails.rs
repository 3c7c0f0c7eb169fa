//! The one statement that takes mails.

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
    /// Where it stands in the request.
    pub position: usize,
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
    /// How many were asked for, those among them that can't be taken.
    pub asked: usize,
    /// Why those can't be, by their position.
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
    Committed(Vec<Position>),
    /// The idempotency key is there already; nothing was written.
    KeyTaken,
}

/// What became of one mail.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Position {
    /// Where it stands in the request.
    pub position: i32,
    /// It is in the outbox.
    pub taken: bool,
    /// Seconds until the recipient may have one more.
    pub wait: Option<f64>,
}

/// Rows of the recipients are locked in the order of their hashes, so that two requests never wait for each other.
const STATEMENT: &str = "
WITH asked AS (
    SELECT *, row_number() OVER (PARTITION BY recipient ORDER BY position) AS place
    FROM unnest($1::int[], $2::uuid[], $3::text[], $4::bytea[], $5::timestamptz[], $6::text[], $7::bytea[])
         AS mail (position, id, task_type, body, expires_at, priority, recipient)
), wanted AS (
    SELECT recipient, least(count(*), $8::int)::int AS mails FROM asked WHERE $8::int > 0
    GROUP BY recipient ORDER BY recipient
), granted AS (
    INSERT INTO sluice.recipients AS known (recipient, granted, whole_at)
    SELECT recipient, mails, now() + make_interval(secs => mails * $9::float8) FROM wanted ORDER BY recipient
    ON CONFLICT (recipient) DO UPDATE SET
        granted = least(EXCLUDED.granted, sluice.mails_left(known.whole_at, $8::int, $9::float8)),
        whole_at = greatest(known.whole_at, now()) + make_interval(
            secs => least(EXCLUDED.granted, sluice.mails_left(known.whole_at, $8::int, $9::float8)) * $9::float8)
    RETURNING recipient, granted, whole_at
), taken AS (
    SELECT asked.* FROM asked LEFT JOIN granted USING (recipient) WHERE place <= coalesce(granted, place)
), queued AS (
    INSERT INTO sluice.outbox (id, task_type, body, traceparent, tracestate, expires_at, priority)
    SELECT id, task_type, body, $10, $11, expires_at, priority FROM taken ORDER BY position
), noted AS (
    INSERT INTO sluice.idempotency_keys (api_key, key, fingerprint, ids, refused)
    SELECT $12, $13, $14,
           ARRAY(SELECT taken.id FROM generate_series(0, $15::int - 1) AS at LEFT JOIN taken ON position = at ORDER BY at),
           $16
    WHERE $13::text IS NOT NULL AND EXISTS (SELECT FROM taken)
)
SELECT asked.position, taken.id IS NOT NULL AS taken,
       (extract(epoch FROM granted.whole_at - now())::float8 - ($8::int - 1) * $9::float8) AS wait
FROM asked LEFT JOIN taken USING (position) LEFT JOIN granted ON granted.recipient = asked.recipient";

/// Commits the mails that their recipients may still have, and the idempotency key, or nothing: one statement, one round trip. A second
/// request with the same key or recipient waits here until the first has ended. Where no mail is taken, no key is kept.
///
/// # Errors
/// [`DbError`]; after `Unavailable` it may have been committed all the same.
pub async fn insert_mails(db: &Kept, batch: &Batch<'_>) -> Result<Inserted, DbError> {
    let mails = batch.mails;
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let repeatable = batch.repeatable;
    let statement = sqlx::query_as::<_, Position>(STATEMENT)
        .bind(mails.iter().map(|mail| number(mail.position)).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.id).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.task_type.as_str()).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.body.as_slice()).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.expires_at).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.priority).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.recipient.as_slice()).collect::<Vec<_>>())
        .bind(batch.limit.quota())
        .bind(batch.limit.every())
        .bind(batch.trace.traceparent.as_deref())
        .bind(batch.trace.tracestate.as_deref())
        .bind(repeatable.map(|it| it.api_key))
        .bind(repeatable.map(|it| it.key.as_str()))
        .bind(repeatable.map(|it| it.fingerprint.as_slice()))
        .bind(number(batch.asked))
        .bind(batch.refused);
    let inserting = async {
        let mut held = db.held().await?;
        let inserted = statement.fetch_all(&mut *held).await;
        held.settle(inserted)
    };
    match bounded(inserting).await {
        Ok(positions) => Ok(Inserted::Committed(positions)),
        Err(error) => {
            let violated = error.as_database_error().and_then(|error| error.constraint());
            if violated == Some("idempotency_keys_pkey") { Ok(Inserted::KeyTaken) } else { Err(error.into()) }
        }
    }
}
