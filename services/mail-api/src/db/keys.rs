//! API keys, as they are kept.

use platform::postgres::{DbError, bounded};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::keys::{Caller, Digest, KeyName, Scope, Token};

/// A key to be kept.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// Its id and its digest are kept of it.
    pub token: &'a Token,
    /// What people call it.
    pub name: &'a KeyName,
    /// What it may ask for.
    pub scope: &'a Scope,
    /// It is good until then.
    pub expires_at: Option<OffsetDateTime>,
}

/// A key as people see it.
#[derive(Debug, sqlx::FromRow)]
pub struct KeyRow {
    /// The part of it that may be known.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may ask for; `None`: everything.
    pub types: Option<Vec<String>>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// It is good until then.
    pub expires_at: Option<OffsetDateTime>,
    /// It has not been good since then.
    pub revoked_at: Option<OffsetDateTime>,
}

impl KeyRow {
    /// In a word.
    pub fn state(&self, now: OffsetDateTime) -> &'static str {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            (None, _) => "good",
        }
    }
}

/// Keeps a key; false: another one has the name.
///
/// # Errors
/// [`DbError`]
pub async fn add_key(pool: &PgPool, key: &NewKey<'_>) -> Result<bool, DbError> {
    let digest = key.token.digest();
    let added = sqlx::query(
        "INSERT INTO sluice.api_keys (id, name, digest, types, expires_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING",
    )
    .bind(key.token.id().to_string())
    .bind(key.name.as_str())
    .bind(digest.as_bytes())
    .bind(key.scope.types())
    .bind(key.expires_at);
    Ok(bounded(added.execute(pool)).await?.rows_affected() == 1)
}

/// All of them, the newest last.
///
/// # Errors
/// [`DbError`]
pub async fn all_keys(pool: &PgPool) -> Result<Vec<KeyRow>, DbError> {
    let all = sqlx::query_as(
        "SELECT id, name, types, created_at, expires_at, revoked_at FROM sluice.api_keys ORDER BY created_at, id",
    );
    Ok(bounded(all.fetch_all(pool)).await?)
}

/// Revokes the key of this name; returns its id. `None`: there is none.
///
/// # Errors
/// [`DbError`]
pub async fn revoke_key(pool: &PgPool, name: &KeyName) -> Result<Option<String>, DbError> {
    let revoked = sqlx::query_scalar(
        "UPDATE sluice.api_keys SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL RETURNING id",
    );
    Ok(bounded(revoked.bind(name.as_str()).fetch_optional(pool)).await?)
}

#[derive(sqlx::FromRow)]
struct Active {
    id: String,
    digest: Vec<u8>,
    types: Option<Vec<String>>,
    expires_at: Option<OffsetDateTime>,
}

/// Those that are good.
///
/// # Errors
/// [`DbError`]
pub async fn active_keys(pool: &PgPool) -> Result<Vec<Caller>, DbError> {
    let active = sqlx::query_as::<_, Active>(
        "SELECT id, digest, types, expires_at FROM sluice.api_keys
         WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
    );
    let rows = bounded(active.fetch_all(pool)).await?;
    // A row that somebody wrote by hand, and that can be no key, is none.
    let caller = |row: Active| {
        let digest = Digest::kept(&row.digest)?;
        Some(Caller::kept(row.id.parse().ok()?, digest, Scope::kept(row.types.as_deref()), row.expires_at))
    };
    Ok(rows.into_iter().filter_map(caller).collect())
}
