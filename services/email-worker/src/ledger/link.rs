//! A connection that an actor keeps, with a limit on every answer.
//!
//! The pool asks the server on every return whether the connection still works, a round trip of its own: an actor that sends
//! one statement after another holds on to one connection instead.

use std::sync::Arc;
use std::time::Duration;

use platform::postgres::{is_unavailable, words};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::time::{Instant, timeout_at};

/// The ledger's database did not answer, or not in time. Nothing may be sent without it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger's database is down: {0}")]
pub struct LedgerDown(Arc<str>);

impl LedgerDown {
    pub(crate) fn because(reason: &str) -> Self {
        Self(reason.into())
    }

    pub(crate) fn silent(limit: Duration) -> Self {
        Self(format!("no answer within {limit:?}").into())
    }

    pub(crate) fn stopping() -> Self {
        Self::because("the worker is stopping")
    }
}

impl From<sqlx::Error> for LedgerDown {
    fn from(error: sqlx::Error) -> Self {
        let said = words(&error);
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some(UNDEFINED_TABLE | UNDEFINED_COLUMN) => {
                Self(format!("{said}: the tables are missing or old: run `email-worker migrate`").into())
            }
            _ => Self(said.into()),
        }
    }
}

const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_COLUMN: &str = "42703";

/// One question to the database, one round trip. It may be asked twice, when the first answer was lost.
pub(crate) trait Statement: Sync {
    /// What the database says to it.
    type Answer: Send;

    /// Sends it and reads the answer.
    fn ask(&self, conn: &mut PgConnection) -> impl Future<Output = sqlx::Result<Self::Answer>> + Send;
}

/// After a restart of the server every idle connection of the pool is dead, and each is found out by one try.
const TRIES: u32 = 10;

/// Asks on some connection of the pool, as [`Link::ask`] does.
pub(crate) async fn ask<S: Statement>(pool: &PgPool, limit: Duration, statement: &S) -> Result<S::Answer, LedgerDown> {
    Link::new(pool.clone(), limit).ask(statement).await
}

/// A connection of the pool, kept while it works.
#[derive(Debug)]
pub(crate) struct Link {
    pool: PgPool,
    held: Option<PoolConnection<Postgres>>,
    limit: Duration,
}

impl Link {
    pub(crate) fn new(pool: PgPool, limit: Duration) -> Self {
        Self { pool, held: None, limit }
    }

    /// Asks, and gives up after the link's limit.
    ///
    /// A connection that fails is replaced within the limit: that the server was restarted while nothing was asked is no
    /// outage.
    pub(crate) async fn ask<S: Statement>(&mut self, statement: &S) -> Result<S::Answer, LedgerDown> {
        let deadline = Instant::now() + self.limit;
        let mut tries = 1;
        loop {
            let answer = timeout_at(deadline, self.attempt(statement)).await;
            if let Ok(Ok(answer)) = answer {
                return Ok(answer);
            }
            // Whatever state it is in, it is not asked again. Detached, it closes without a word to a server that may hang.
            drop(self.held.take().map(PoolConnection::detach));
            match answer {
                Ok(Err(error)) if is_unavailable(&error) && tries < TRIES => tries += 1,
                Ok(Err(error)) => return Err(error.into()),
                _ => return Err(LedgerDown::silent(self.limit)),
            }
        }
    }

    async fn attempt<S: Statement>(&mut self, statement: &S) -> sqlx::Result<S::Answer> {
        let conn = match &mut self.held {
            Some(conn) => conn,
            held => held.insert(self.pool.acquire().await?),
        };
        statement.ask(conn).await
    }
}
