//! Registering somebody: what happens between the request and the answer.

use std::sync::Arc;

use contract::{MailTask, TaskId};
use platform::postgres::{Availability, Kept};
use platform::telemetry::context::current_traceparent;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::db::{self, Conflict, DbError, Insert, Inserted, NewUser, Taken};
use crate::domain::{IdempotencyKey, LocaleTag, Registration};
use crate::hashing::{HashError, Hasher};

/// What registering needs.
#[derive(Debug, Clone)]
pub struct Registrar {
    /// The database.
    pub db: Kept,
    /// Whether it is there.
    pub availability: Availability,
    /// The queue for hashing.
    pub hasher: Hasher,
    /// Notified after each commit: there is something in the outbox.
    pub committed: Arc<Notify>,
}

/// A user, as registered.
#[derive(Debug, Clone)]
pub struct User {
    /// UUIDv7.
    pub id: Uuid,
    /// The name.
    pub username: String,
    /// The address.
    pub email: String,
    /// By the clock of the database.
    pub created_at: OffsetDateTime,
}

/// How it ended well.
#[derive(Debug)]
pub enum Registered {
    /// By this request.
    Now(User),
    /// By an earlier one with the same idempotency key.
    Before(User),
}

/// How it did not.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Name or address belong to somebody.
    #[error("the name or the address is taken")]
    Taken(Taken),
    /// The idempotency key stands for another registration.
    #[error("the idempotency key stands for another registration")]
    KeyReused,
    /// The hash failed, or would have come too late.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database did not answer when it was last asked, not by this request.
    #[error("the database is not available")]
    DatabaseDown,
    /// The database failed, or went away.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Registrar {
    /// Whether there is any point in reading a request: neither is the database away nor the queue too long.
    ///
    /// # Errors
    /// [`RegisterError::Hash`], [`RegisterError::DatabaseDown`]
    pub fn look(&self) -> Result<(), RegisterError> {
        if self.availability.is_down() {
            return Err(RegisterError::DatabaseDown);
        }
        self.hasher.look().map_err(|overloaded| HashError::from(overloaded).into())
    }

    /// Registers somebody. The task is committed with the user; whether the broker is there makes no difference.
    ///
    /// # Errors
    /// [`RegisterError`]
    pub async fn register(
        &self,
        asked: &Registration,
        key: Option<&IdempotencyKey>,
    ) -> Result<Registered, RegisterError> {
        let password_hash = self.hasher.hash(asked.password.clone()).await?;
        let mut conflict = match self.insert(asked, &password_hash, key).await? {
            Ok(user) => return Ok(Registered::Now(user)),
            Err(conflict) => conflict,
        };
        if let Some(key) = key {
            match db::find_key(&self.db, key).await? {
                Some(claimed) if !claimed.expired => return self.replay(asked, claimed).await,
                None if conflict != Conflict::Key => {}
                // It has expired, or was purged just now: it counts as absent.
                _ => {
                    db::forget_expired_key(&self.db, key).await?;
                    if conflict == Conflict::Key {
                        match self.insert(asked, &password_hash, Some(key)).await? {
                            Ok(user) => return Ok(Registered::Now(user)),
                            Err(again) => conflict = again,
                        }
                    }
                }
            }
        }
        Err(self.taken(asked, conflict).await?)
    }

    async fn insert(
        &self,
        asked: &Registration,
        password_hash: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<Result<User, Conflict>, DbError> {
        let id = Uuid::now_v7();
        let locale = asked.language().map(LocaleTag::as_str);
        let (email, username) = (asked.email.address().clone(), asked.username.as_str().to_owned());
        let task = MailTask::welcome(email, username, locale.map(str::to_owned));
        let insert = Insert {
            user: NewUser {
                id,
                username: &asked.username,
                email: &asked.email,
                password_hash,
                locale: asked.language(),
            },
            task_id: TaskId::new().as_uuid(),
            task_type: task.mail_type.as_str(),
            task_body: &task.encode(),
            trace: &current_traceparent(),
            key,
        };
        let created_at = match db::insert_user(&self.db, &insert).await {
            Ok(Inserted::Committed(at)) => at,
            Ok(Inserted::Conflict(conflict)) => return Ok(Err(conflict)),
            Err(error) => {
                self.availability.suspect();
                return Err(error);
            }
        };
        self.committed.notify_one();
        let (username, email) = (asked.username.as_str().to_owned(), asked.email.as_str().to_owned());
        Ok(Ok(User { id, username, email, created_at }))
    }

    /// The answer that the key got before, for whoever asks for the same and knows the password.
    async fn replay(&self, asked: &Registration, claimed: db::Claimed) -> Result<Registered, RegisterError> {
        // What a browser would like is no part of what is asked for.
        let same_language = asked.locale.as_ref().is_none_or(|asked| claimed.locale.as_deref() == Some(asked.as_str()));
        let same =
            claimed.username == asked.username.as_str() && claimed.email == asked.email.as_str() && same_language;
        if !same || !self.hasher.verify(asked.password.clone(), claimed.password_hash).await? {
            return Err(RegisterError::KeyReused);
        }
        let db::Claimed { id, username, email, created_at, .. } = claimed;
        Ok(Registered::Before(User { id, username, email, created_at }))
    }

    async fn taken(&self, asked: &Registration, conflict: Conflict) -> Result<RegisterError, DbError> {
        let mut taken = db::what_is_taken(&self.db, &asked.username, &asked.email).await?;
        // Whoever had it may be gone by now; the answer is about the moment of the insert.
        taken.username |= conflict == Conflict::Username;
        taken.email |= conflict == Conflict::Email;
        if conflict == Conflict::Key && !taken.username && !taken.email {
            return Ok(RegisterError::KeyReused);
        }
        Ok(RegisterError::Taken(taken))
    }
}
