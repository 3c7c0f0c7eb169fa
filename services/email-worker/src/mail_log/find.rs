//! Looking mails up: by id, by the hash of an address, or by trace.

use platform::postgres::Statement;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;
use uuid::Uuid;

/// Which mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one with this id.
    Id(Uuid),
    /// Those to an address that is known by one of these hashes.
    Recipient(Vec<Vec<u8>>),
    /// Those of one trace.
    Trace([u8; 16]),
}

/// A mail as the log has it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Mail {
    /// The id of its task.
    pub id: Uuid,
    /// Its type.
    pub mail_type: String,
    /// Hash of the recipient's address, where there is a key.
    pub recipient: Option<Vec<u8>>,
    /// The recipient's domain.
    pub domain: String,
    /// What became of it so far.
    pub state: String,
    /// Why it is dead.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// Attempts so far.
    pub attempts: i32,
    /// When its task was made, where that is known.
    pub created: Option<OffsetDateTime>,
    /// Since when it is so.
    pub changed: OffsetDateTime,
    /// When it is tried again.
    pub due: Option<OffsetDateTime>,
    /// Its trace.
    pub trace_id: Option<Vec<u8>>,
}

/// An attempt that was not a plain success.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Attempt {
    /// Whose.
    pub id: Uuid,
    /// When.
    pub at: OffsetDateTime,
    /// Which, counted from 1.
    pub number: i32,
    /// What followed from it.
    pub state: String,
    /// How far the conversation had come, where there was one.
    pub stage: Option<String>,
    /// The mail server's code.
    pub code: Option<i16>,
    /// Its enhanced code.
    pub enhanced: Option<String>,
    /// What was said, or went wrong.
    pub text: String,
    /// How long the conversation was.
    pub took: PgInterval,
    /// Which worker it was.
    pub worker: String,
}

/// The mails, the latest first, at most so many.
#[derive(Debug)]
pub struct Mails {
    /// Which.
    pub which: Which,
    /// At most so many.
    pub limit: i64,
}

/// Of a mail that has several days the last one counts.
macro_rules! mails {
    ($which:literal) => {
        concat!(
            "SELECT * FROM (
                 SELECT DISTINCT ON (id) id, mail_type, recipient, domain, state, reason, detail, attempts, created, changed, due,
                     trace_id
                 FROM mail_log WHERE ",
            $which,
            " ORDER BY id, changed DESC
             ) AS found ORDER BY changed DESC, id LIMIT $2"
        )
    };
}

impl Statement for Mails {
    type Answer = Vec<Mail>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Mail>> {
        let found = match &self.which {
            Which::Id(id) => sqlx::query_as(mails!("id = $1")).bind(id),
            Which::Recipient(hashes) => sqlx::query_as(mails!("recipient = ANY ($1)")).bind(hashes),
            Which::Trace(id) => sqlx::query_as(mails!("trace_id = $1")).bind(id.as_slice()),
        };
        found.bind(self.limit).fetch_all(conn).await
    }
}

/// The attempts of mails, the oldest first.
#[derive(Debug)]
pub struct Attempts(pub Vec<Uuid>);

impl Statement for Attempts {
    type Answer = Vec<Attempt>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Attempt>> {
        sqlx::query_as(
            "SELECT id, at, number, state, stage, code, enhanced, text, took, worker
             FROM mail_attempts WHERE id = ANY ($1) ORDER BY at, number",
        )
        .bind(&self.0)
        .fetch_all(conn)
        .await
    }
}

/// What the ledger knows of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Claimed {
    /// When its mail was sent, or its address found to be suppressed.
    pub sent_at: Option<OffsetDateTime>,
    /// A worker has it at this moment.
    pub claimed: bool,
}

/// Looks a task up in the ledger: what is in flight for the first time, or was sent while the log was off, is there alone.
#[derive(Debug)]
pub struct InLedger(pub Uuid);

impl Statement for InLedger {
    type Answer = Option<Claimed>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Option<Claimed>> {
        let found =
            sqlx::query_as("SELECT sent_at, sent_at IS NULL AND until > now() AS claimed FROM ledger WHERE id = $1");
        found.bind(self.0).fetch_optional(conn).await
    }
}
