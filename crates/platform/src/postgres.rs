//! The database as both services use it.
//!
//! Behind a pooler in transaction mode too: nothing here, or in the services, is set, locked or listened to for longer than a
//! transaction.

mod error;
mod kept;
mod migrated;
mod migration;
mod pooler;
mod purge;
mod watch;
mod watched;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

pub use error::DbError;
pub use kept::{Held, Kept, NoAnswer, Statement, ask};
pub use migrated::Migrated;
pub use migration::{migrate, migrate_as_told};
pub use pooler::{UnfitPooler, Unproven, check_pooler, check_startup, is_unfit_pooler};
use purge::purge;
use watch::watch;
pub use watch::{Availability, Found, Probe};
pub use watched::WatchedDatabase;

use crate::config::Secret;
pub use crate::words::words;

/// How long a query waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long one statement may take, in milliseconds; none of ours comes near it.
const STATEMENT_MS: u32 = 10_000;

/// How long [`bounded`] lets a statement take, waiting for a connection included. The server's own limit is no help when it hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// What trying again would not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The URL can't be used. Its cause may repeat parts of it, and is left out.
    #[error("DATABASE_URL is not a PostgreSQL URL that can be used")]
    Url,
    /// This migration is another one than the database has.
    #[error("migration {0} was changed after this database had been migrated with it: restore the file, add a new one")]
    Migration(i64),
    /// Its texts are not Unicode, as addresses, names and answers of mail servers are.
    #[error(
        "its encoding is {0}, and must be UTF8: make another one (CREATE DATABASE .. ENCODING 'UTF8' TEMPLATE template0), and move \
         what there is"
    )]
    Encoding(String),
}

/// A pool of at most `size` connections, named `application` on the server. It connects when it is first used, so that
/// a service starts without its database.
///
/// A connection is not tested before its use, which would be a second round trip: after a restart of the database the
/// first query on each connection fails, and the connection is replaced.
pub fn pool(url: &Secret, size: u32, application: &str) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.expose())
        // Variables were read by `config::database_url`.
        .map_err(|_| Unfit::Url)?
        .application_name(application)
        .options([("statement_timeout", STATEMENT_MS.to_string())]);
    Ok(PgPoolOptions::new()
        .max_connections(size)
        .min_connections(0)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .connect_lazy_with(options))
}

/// The result of `statement`, or an error if it takes longer than any of ours should.
///
/// # Errors
/// Those of the statement; [`sqlx::Error::Io`] when it took too long.
pub async fn bounded<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(PATIENCE, statement).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from the database in time")))
    })
}

/// Whether the database, rather than the query, is the trouble: it may work later, unchanged.
///
/// The query may have been committed all the same when the connection broke.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // The stream broke off in the middle, or was given up there.
        sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_unavailable_code(&code)),
        _ => false,
    }
}

/// SQLSTATEs that say: not now.
fn is_unavailable_code(code: &str) -> bool {
    // 08 connection, 53 resources, 57P operator intervention and start-up, 57014 statement timeout, 25006 a standby,
    // 55P03 lock timeout, 58 system error.
    ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class)) || ["57014", "25006", "55P03"].contains(&code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn errors_that_pass_are_told_from_those_that_do_not() {
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(is_unavailable(&sqlx::Error::Io(io())));
        assert!(is_unavailable(&sqlx::Error::PoolTimedOut));
        assert!(!is_unavailable(&sqlx::Error::RowNotFound));
        for (code, unavailable) in [
            ("57P01", true),
            ("57P03", true),
            ("53300", true),
            ("08006", true),
            ("57014", true),
            ("25006", true),
            ("23505", false),
            ("42P01", false),
            ("28P01", false),
        ] {
            assert_eq!(is_unavailable_code(code), unavailable, "{code}");
        }
    }

    #[test]
    fn the_line_of_the_servers_source_is_left_out() {
        for (text, words_of_it) in [
            ("relation \"ledger\" does not exist at line 1392", "relation \"ledger\" does not exist"),
            ("no route", "no route"),
            ("expected a comma at line 3 column 7", "expected a comma at line 3 column 7"),
            ("odd at line ", "odd at line "),
        ] {
            assert_eq!(words(text), words_of_it);
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_not_repeated() {
        let secret = Secret::from("postgres://u:hunter2@h:port/d".to_owned());
        let error = format!("{:?}", pool(&secret, 1, "test").unwrap_err());
        assert!(error.contains("DATABASE_URL") && !error.contains("hunter2"), "{error}");
    }
}
