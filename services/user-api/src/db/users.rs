//! Users, and the one statement that registers one.

use platform::postgres::{Kept, bounded};
use platform::telemetry::context::Carrier;
use time::OffsetDateTime;
use uuid::Uuid;

use super::DbError;
use crate::domain::{Email, IdempotencyKey, LocaleTag, Username};

/// A user to be inserted.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// UUIDv7.
    pub id: Uuid,
    /// The name.
    pub username: &'a Username,
    /// The address.
    pub email: &'a Email,
    /// PHC string.
    pub password_hash: &'a str,
    /// The language.
    pub locale: Option<&'a LocaleTag>,
}

/// Everything that one registration commits.
#[derive(Debug)]
pub struct Insert<'a> {
    /// The user.
    pub user: NewUser<'a>,
    /// The id of the message.
    pub task_id: Uuid,
    /// Its type.
    pub task_type: &'a str,
    /// Its body.
    pub task_body: &'a [u8],
    /// The trace it belongs to.
    pub trace: &'a Carrier,
    /// The client's key.
    pub key: Option<&'a IdempotencyKey>,
}

/// How an insert ended, if not in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// Committed at this time, by the clock of the database.
    Committed(OffsetDateTime),
    /// Something of it is there already; nothing was written.
    Conflict(Conflict),
}

/// What was there already: the first that the database came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The name, in any case.
    Username,
    /// The address, in any spelling.
    Email,
    /// The idempotency key.
    Key,
}

impl Conflict {
    /// By the name of the unique index.
    fn of_constraint(name: &str) -> Option<Self> {
        match name {
            "users_username_key" => Some(Self::Username),
            "users_email_key" => Some(Self::Email),
            "idempotency_keys_pkey" => Some(Self::Key),
            _ => None,
        }
    }
}

/// Commits user, task and key, or nothing: one statement, one round trip. A second request with the same name, address or
/// key waits here, on the unique index, until the first has ended.
///
/// # Errors
/// [`DbError`]; after `Unavailable` it may have been committed all the same.
pub async fn insert_user(db: &Kept, insert: &Insert<'_>) -> Result<Inserted, DbError> {
    let statement = sqlx::query_scalar::<_, OffsetDateTime>(
        "WITH new_user AS (
             INSERT INTO users (id, username, email, email_folded, password_hash, locale)
             VALUES ($1, $2, $3, $4, $5, $6)
             RETURNING created_at
         ), new_task AS (
             INSERT INTO outbox (id, task_type, body, traceparent, tracestate)
             VALUES ($7, $8, $9, $10, $11)
         ), new_key AS (
             INSERT INTO idempotency_keys (key, user_id)
             SELECT $12::text, $1 WHERE $12::text IS NOT NULL
         )
         SELECT created_at FROM new_user",
    )
    .bind(insert.user.id)
    .bind(insert.user.username.as_str())
    .bind(insert.user.email.as_str())
    .bind(insert.user.email.folded())
    .bind(insert.user.password_hash)
    .bind(insert.user.locale.map(LocaleTag::as_str))
    .bind(insert.task_id)
    .bind(insert.task_type)
    .bind(insert.task_body)
    .bind(insert.trace.traceparent.as_deref())
    .bind(insert.trace.tracestate.as_deref())
    .bind(insert.key.map(IdempotencyKey::as_str));
    let inserting = async {
        let mut held = db.held().await?;
        let inserted = statement.fetch_one(&mut *held).await;
        held.settle(inserted)
    };
    match bounded(inserting).await {
        Ok(created_at) => Ok(Inserted::Committed(created_at)),
        Err(error) => {
            let violated = error.as_database_error().and_then(|error| error.constraint());
            match violated.and_then(Conflict::of_constraint) {
                Some(conflict) => Ok(Inserted::Conflict(conflict)),
                None => Err(error.into()),
            }
        }
    }
}

/// What of a registration belongs to somebody already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Taken {
    /// The name does.
    pub username: bool,
    /// The address does.
    pub email: bool,
}

/// Looks up both, because a conflict tells the first only.
///
/// # Errors
/// [`DbError`]
pub async fn what_is_taken(db: &Kept, username: &Username, email: &Email) -> Result<Taken, DbError> {
    let taken = sqlx::query_as(
        r#"SELECT EXISTS (SELECT FROM users WHERE lower(username COLLATE "C") = lower($1 COLLATE "C")) AS username,
                  EXISTS (SELECT FROM users WHERE email_folded COLLATE "C" = $2) AS email"#,
    );
    let asking = async {
        let mut held = db.held().await?;
        let taken = taken.bind(username.as_str()).bind(email.folded()).fetch_one(&mut *held).await;
        held.settle(taken)
    };
    Ok(bounded(asking).await?)
}
