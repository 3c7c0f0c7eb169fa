//! A pooler on the way to the database, and whether it can be worked with.
//!
//! A prepared statement belongs to a session of the server, and our library names them alike in each: the first is `sqlx_s_1`. A
//! pooler that gives every transaction another session, and does not take a client's statements along, has clients run each
//! other's statements: PgBouncer in transaction mode does before 1.21, and later with `max_prepared_statements = 0`. Most of it
//! ends in errors. Where two statements look alike it does not, so nothing is asked of such a database.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

/// Looking at it takes two connections and some twenty round trips.
const LOOK: Duration = Duration::from_secs(5);
/// One shows it where nobody else uses the pooler. Whoever does may have the session that we would have been given.
const ROUNDS: i64 = 4;

/// A pooler that cannot be used as it is set. Trying again would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPooler {
    /// Clients run each other's statements.
    #[error(
        "a connection pooler on the way mixes up the prepared statements of its clients ({0}): with PgBouncer 1.21 or newer \
         set max_prepared_statements = 100, else pool_mode = session, or give the URL of the server itself"
    )]
    MixesStatements(String),
    /// It refuses what we say when we connect.
    #[error(
        "a connection pooler on the way refuses the connection ({0}): with PgBouncer set ignore_startup_parameters = \
         extra_float_digits, options"
    )]
    StartupParameter(String),
}

/// Why it is not known that the database can be used.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// It can't.
    #[error(transparent)]
    Unfit(#[from] UnfitPooler),
    /// It could not be asked.
    #[error("{}", super::words(.0))]
    Away(sqlx::Error),
}

impl Unproven {
    fn is_final(&self) -> bool {
        matches!(self, Self::Unfit(_))
    }
}

impl From<sqlx::Error> for Unproven {
    fn from(error: sqlx::Error) -> Self {
        unfit(&error).map_or(Self::Away(error), Self::Unfit)
    }
}

/// Whether a pooler that cannot be used is behind this error: somebody has to decide.
pub fn is_unfit_pooler(error: &anyhow::Error) -> bool {
    let unproven = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().is_some_and(Unproven::is_final);
    error.chain().any(|cause| cause.is::<UnfitPooler>() || unproven(cause))
}

/// Makes sure that each connection runs its own statements. A server without a pooler is never refused: a session that has just
/// begun has no statements but its own.
///
/// # Errors
/// It does not, or it could not be found out within 5 s.
pub async fn check_pooler(pool: &PgPool) -> Result<(), Unproven> {
    let options = pool.connect_options();
    tokio::time::timeout(LOOK, look(&options)).await.map_err(|_| late())?
}

/// Makes sure that one can connect: enough for a service that prepares no statements.
///
/// # Errors
/// A pooler refuses what we say at first, or it could not be found out within 5 s.
pub async fn check_startup(pool: &PgPool) -> Result<(), Unproven> {
    let options = pool.connect_options();
    let connected = tokio::time::timeout(LOOK, options.connect()).await.map_err(|_| late())??;
    // Nothing was asked over it.
    drop(connected);
    Ok(())
}

fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 5 s"))
}

/// One session runs a statement. Another one keeps in a transaction the session of the server that was used for it, if that can be
/// had. Then the first one runs it again.
async fn look(options: &PgConnectOptions) -> Result<(), Unproven> {
    let (mut one, mut other) = tokio::try_join!(options.connect(), options.connect())?;
    for round in 0..ROUNDS {
        echo(&mut one, round).await?;
        let mut held = other.begin().await?;
        echo(&mut held, -round).await?;
        echo(&mut one, round).await?;
        held.rollback().await?;
    }
    let _ = tokio::join!(one.close(), other.close());
    Ok(())
}

/// Four parameters: no statement of ours has so many, so that none of them is run in the place of this one.
async fn echo(connection: &mut PgConnection, token: i64) -> Result<(), Unproven> {
    let echo = sqlx::query_scalar::<_, i64>("SELECT $1::int8 + $2::int8 + $3::int8 + $4::int8");
    let said = echo.bind(token).bind(1_i64).bind(10_i64).bind(100_i64).fetch_one(connection).await?;
    if said == token + 111 {
        Ok(())
    } else {
        Err(UnfitPooler::MixesStatements("an answer to another question came back".to_owned()).into())
    }
}

fn unfit(error: &sqlx::Error) -> Option<UnfitPooler> {
    let error = error.as_database_error()?;
    let (code, message) = (error.code().unwrap_or_default(), error.message());
    judge(&code, message)
}

/// 26000 and 42P05: a statement that is not there, or is there already. PostgreSQL says 08P01 of parameters that do not go with
/// the statement, PgBouncer of everything.
fn judge(code: &str, message: &str) -> Option<UnfitPooler> {
    match code {
        "26000" | "42P05" => Some(UnfitPooler::MixesStatements(message.to_owned())),
        "08P01" if message.starts_with("bind message") => Some(UnfitPooler::MixesStatements(message.to_owned())),
        "08P01" if message.contains("startup parameter") => Some(UnfitPooler::StartupParameter(message.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_pooler_alone_can_do_is_held_against_it() {
        let mixes = |message: &str| Some(UnfitPooler::MixesStatements(message.to_owned()));
        let startup = |message: &str| Some(UnfitPooler::StartupParameter(message.to_owned()));
        for (code, message, expected) in [
            ("26000", "prepared statement \"sqlx_s_1\" does not exist", mixes as fn(&str) -> Option<UnfitPooler>),
            ("42P05", "prepared statement \"sqlx_s_1\" already exists", mixes),
            ("08P01", "bind message supplies 4 parameters, but prepared statement \"sqlx_s_1\" requires 0", mixes),
            ("08P01", "unsupported startup parameter: extra_float_digits", startup),
            ("08P01", "unsupported startup parameter in options: statement_timeout", startup),
            ("08P01", "no more connections allowed (max_client_conn)", |_| None),
            ("08P01", "server login failed: FATAL the database system is starting up", |_| None),
            ("57P03", "the database system is starting up", |_| None),
            ("53300", "too many clients already", |_| None),
        ] {
            assert_eq!(judge(code, message), expected(message), "{code} {message}");
        }
    }
}
