//! Taking mails: what happens between what was asked for and the answer.

use std::sync::Arc;
use std::time::Duration;

use contract::TaskId;
use platform::postgres::{Availability, DbError, Kept};
use platform::telemetry::context::current_traceparent;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;
use web::{Kind, Problem};

use crate::asked::Asked;
use crate::db::{self, Batch, Before, Inserted, NewMail, Outcome, RecipientLimit, Repeatable};
use crate::recipient;

/// What taking mails needs. Clones share it.
#[derive(Debug, Clone)]
pub struct Taker {
    /// The database.
    pub db: Kept,
    /// Whether it is there.
    pub availability: Availability,
    /// Notified after each commit: there is something in the outbox.
    pub committed: Arc<Notify>,
    /// How many mails a recipient gets.
    pub limit: RecipientLimit,
}

/// What became of one mail.
#[derive(Debug, Clone, Copy)]
pub enum Taken {
    /// It will be sent.
    As(Uuid),
    /// Its recipient may have another one after so long.
    Limited(Duration),
}

/// How it ended well.
#[derive(Debug)]
pub enum Done {
    /// By this request: each mail, in the order in which they were given.
    Now(Vec<Taken>),
    /// By an earlier one with the same idempotency key.
    Before(Before),
}

/// How it did not.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The idempotency key stands for something else.
    #[error("the idempotency key stands for another request")]
    KeyReused,
    /// The database did not answer when it was last asked, not by this request.
    #[error("the database is not available")]
    DatabaseDown,
    /// The database failed, or went away.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<TakeError> for Problem {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::KeyReused => Self::new(Kind::IDEMPOTENCY_KEY_REUSED),
            TakeError::DatabaseDown => Self::database_unavailable(),
            TakeError::Database(error) => error.into(),
        }
    }
}

/// What of a request can be taken, and what of it can't.
#[derive(Debug)]
pub struct Request<'a> {
    /// What can, in the order of the request.
    pub mails: Vec<NewMail>,
    /// Of all that were asked for: why it can't be taken, or null.
    pub refused: Option<Value>,
    /// For the next time.
    pub repeatable: Option<&'a Repeatable<'a>>,
}

impl Taker {
    /// Whether it is of any use to ask. Said before a body is read, a no costs next to nothing.
    ///
    /// # Errors
    /// [`TakeError::DatabaseDown`]
    pub fn look(&self) -> Result<(), TakeError> {
        if self.availability.is_down() { Err(TakeError::DatabaseDown) } else { Ok(()) }
    }

    /// Takes what can be taken.
    ///
    /// # Errors
    /// [`TakeError`]
    pub async fn take(&self, request: Request<'_>) -> Result<Done, TakeError> {
        let Request { mails, refused, repeatable } = request;
        let trace = current_traceparent();
        let batch = Batch { mails: &mails, refused: refused.as_ref(), repeatable, trace: &trace, limit: self.limit };
        // A key that has expired is removed, and then there is none; or another request was quicker.
        for _ in 0..3 {
            match self.insert(&batch).await? {
                Inserted::Committed(outcomes) => return self.settle(&mails, &outcomes, repeatable).await,
                Inserted::KeyTaken => {
                    let Some(repeatable) = repeatable else { break };
                    if let Some(before) = self.before(repeatable).await? {
                        return Ok(Done::Before(before));
                    }
                    db::forget_expired_key(&self.db, repeatable.api_key, repeatable.key).await?;
                }
            }
        }
        Err(TakeError::KeyReused)
    }

    async fn insert(&self, batch: &Batch<'_>) -> Result<Inserted, DbError> {
        let inserted = db::insert_mails(&self.db, batch).await;
        if inserted.is_err() {
            self.availability.suspect();
        }
        inserted
    }

    /// Where nothing was taken, the same request may have been before, and has used the limit up.
    async fn settle(
        &self,
        mails: &[NewMail],
        outcomes: &[Outcome],
        repeatable: Option<&Repeatable<'_>>,
    ) -> Result<Done, TakeError> {
        let taken: Vec<Taken> = mails.iter().zip(outcomes).map(|(mail, outcome)| taken(mail, outcome)).collect();
        if taken.iter().any(|taken| matches!(taken, Taken::As(_))) {
            self.committed.notify_one();
        } else if let Some(repeatable) = repeatable
            && let Some(before) = self.before(repeatable).await?
        {
            return Ok(Done::Before(before));
        }
        Ok(Done::Now(taken))
    }

    /// What the key stands for, if it does for anything.
    ///
    /// # Errors
    /// [`TakeError::KeyReused`]: for another request.
    pub async fn before(&self, repeatable: &Repeatable<'_>) -> Result<Option<Before>, TakeError> {
        let found = db::find_before(&self.db, repeatable.api_key, repeatable.key).await?;
        match found.filter(|before| !before.expired) {
            Some(before) if before.fingerprint != repeatable.fingerprint => Err(TakeError::KeyReused),
            found => Ok(found),
        }
    }
}

impl From<Asked> for NewMail {
    fn from(asked: Asked) -> Self {
        let recipient = recipient::digest(&asked.task.email);
        Self {
            id: TaskId::new().as_uuid(),
            task_type: asked.task.mail_type.as_str().to_owned(),
            body: asked.body,
            expires_at: asked.expires_at,
            priority: asked.priority.name(),
            recipient,
        }
    }
}

fn taken(mail: &NewMail, outcome: &Outcome) -> Taken {
    if outcome.taken {
        return Taken::As(mail.id);
    }
    let wait = outcome.wait.unwrap_or_default().max(1.0).ceil();
    Taken::Limited(Duration::try_from_secs_f64(wait).unwrap_or(Duration::from_secs(1)))
}
