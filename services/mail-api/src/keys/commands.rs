//! `mail-api keys`: makes, lists and revokes.

use std::io::{self, Write};

use anyhow::{Context as _, bail};
use platform::postgres::DbError;
use platform::table::Table;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::{AddArgs, KeysCommand, ListArgs};
use super::{KeyName, Scope, Token};
use crate::db::{self, KeyRow, NewKey};

/// Why a command did nothing, though nothing is broken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Names stand for one key at a time.
    #[error("there is a key named {0} already: revoke it first, or choose another name")]
    NameTaken(KeyName),
    /// Perhaps it was revoked before.
    #[error("there is no key named {0}: `mail-api keys list` has them all")]
    NoSuchKey(KeyName),
    /// It would be over before it is used.
    #[error("--expires lies in the past: the key would never be good")]
    AlreadyOver,
}

/// The database is there, and not yet ours.
#[derive(Debug, thiserror::Error)]
#[error("the tables are missing: run `mail-api migrate`")]
pub struct NotMigrated;

/// Does what the command says, and writes what came of it.
///
/// # Errors
/// [`Refused`], [`NotMigrated`]; the database is away.
pub async fn run(pool: &PgPool, command: KeysCommand, mut out: impl Write) -> anyhow::Result<()> {
    let done = match command {
        KeysCommand::Add(args) => add(pool, args, &mut out).await,
        KeysCommand::List(args) => list(pool, args, &mut out).await,
        KeysCommand::Revoke { name } => revoke(pool, name, &mut out).await,
    };
    done.map_err(|error| if lacks_tables(&error) { NotMigrated.into() } else { error })
}

/// Schema or table is not known to the database.
fn lacks_tables(error: &anyhow::Error) -> bool {
    let Some(DbError::Failed(error)) = error.downcast_ref() else { return false };
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["3F000", "42P01"].contains(&code.as_ref()))
}

async fn add(pool: &PgPool, args: AddArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let token = Token::generate();
    let expires_at = args.expires.map(|expires| expires.after(OffsetDateTime::now_utc()));
    if expires_at.is_some_and(|at| at <= OffsetDateTime::now_utc()) {
        bail!(Refused::AlreadyOver);
    }
    let key = NewKey { token: &token, name: &args.name, scope: &Scope::of(args.types), expires_at };
    if !db::add_key(pool, &key).await.context("adding the key")? {
        bail!(Refused::NameTaken(args.name));
    }
    // On stdout the key alone, for a pipe; it is nowhere else.
    writeln!(out, "{}", token.expose()).context("printing the key")
}

async fn list(pool: &PgPool, args: ListArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let keys = db::all_keys(pool).await.context("listing the keys")?;
    let written = if args.json { as_json(&keys, out) } else { as_table(&keys, out) };
    written.context("printing the keys")
}

fn as_table(keys: &[KeyRow], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(out, &["NAME", "ID", "STATE", "TYPES", "CREATED", "EXPIRES"]);
    for key in keys {
        let types = key.types.as_ref().map_or_else(|| "all".to_owned(), |types| types.join(","));
        let expires = key.expires_at.map_or_else(|| "never".to_owned(), moment);
        let state = key.state(OffsetDateTime::now_utc()).to_owned();
        table.push(vec![key.name.clone(), key.id.clone(), state, types, moment(key.created_at), expires])?;
    }
    table.flush()
}

fn as_json(keys: &[KeyRow], out: &mut impl Write) -> io::Result<()> {
    let listed: Vec<_> = keys
        .iter()
        .map(|key| {
            serde_json::json!({
                "name": key.name, "id": key.id, "state": key.state(OffsetDateTime::now_utc()), "types": key.types,
                "created_at": moment(key.created_at), "expires_at": key.expires_at.map(moment),
                "revoked_at": key.revoked_at.map(moment),
            })
        })
        .collect();
    writeln!(out, "{}", serde_json::Value::from(listed))
}

async fn revoke(pool: &PgPool, name: KeyName, out: &mut impl Write) -> anyhow::Result<()> {
    match db::revoke_key(pool, &name).await.context("revoking the key")? {
        Some(id) => {
            writeln!(out, "revoked {id}: refused everywhere within 5 seconds").context("printing what was done")
        }
        None => bail!(Refused::NoSuchKey(name)),
    }
}

/// To the second, in UTC.
fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC).replace_nanosecond(0).unwrap_or(at);
    // Fails for years beyond 9999 alone.
    at.format(&Rfc3339).unwrap_or_default()
}
