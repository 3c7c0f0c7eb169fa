//! Connections that are kept between statements.
//!
//! The pool asks the server on every return whether the connection still works: a round trip more for each statement. A connection
//! that has just answered need not be asked. One that failed, or whose caller went away, is not kept.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::is_unavailable;

/// What is unused for so long goes back into the pool: nobody knows whether it still works, and the pool closes what is too old.
const IDLE: Duration = Duration::from_secs(5);
/// After a restart of the server every idle connection of the pool is dead, and each is found out by one try.
const TRIES: u32 = 10;

/// One question to the database, one round trip. It may be asked twice, when the first answer was lost.
pub trait Statement: Sync {
    /// What the database says to it.
    type Answer: Send;

    /// Sends it and reads the answer.
    fn ask(&self, conn: &mut PgConnection) -> impl Future<Output = sqlx::Result<Self::Answer>> + Send;
}

/// Why a [`Statement`] has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The database said no, or the connection broke too often.
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
    /// Nothing came within this time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

/// As many connections of a pool as may be used, and kept, at once. Clones share them.
#[derive(Debug, Clone)]
pub struct Kept {
    pool: PgPool,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Idle>>>,
    /// How long they are kept unused. Zero where the pool needs each of them back.
    keep: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

/// One of them, for one statement. Dropped, it goes back into the pool.
#[derive(Debug)]
pub struct Held<'k> {
    connection: PoolConnection<Postgres>,
    kept: &'k Kept,
    _permit: Option<SemaphorePermit<'k>>,
}

impl Kept {
    /// One connection, for an actor that asks one thing after the other: it stays while it works.
    pub fn one(pool: PgPool) -> Self {
        Self { pool, permits: Arc::new(Semaphore::new(1)), idle: Arc::default(), keep: Duration::MAX }
    }

    /// All connections of the pool but so many, which are for others. None is kept where that leaves none.
    pub fn all_but(others: u32, pool: PgPool) -> Self {
        let ours = pool.options().get_max_connections().saturating_sub(others);
        let permits = Arc::new(Semaphore::new(usize::try_from(ours.max(1)).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { pool, permits, idle: Arc::default(), keep: if ours > 0 { IDLE } else { Duration::ZERO } }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The database is away.
    pub async fn held(&self) -> sqlx::Result<Held<'_>> {
        // Never closed, so there is always a permit.
        let permit = self.permits.acquire().await.ok();
        let idle = self.idle().pop().filter(|idle| idle.since.elapsed() < self.keep);
        let connection = match idle {
            Some(idle) => idle.connection,
            None => self.pool.acquire().await?,
        };
        Ok(Held { connection, kept: self, _permit: permit })
    }

    /// Asks, and gives up after `limit`. A connection that fails is replaced within it: that the server was restarted while nothing
    /// was asked is no outage.
    ///
    /// # Errors
    /// [`NoAnswer`]. What was asked may have been done all the same.
    pub async fn ask<S: Statement>(&self, statement: &S, limit: Duration) -> Result<S::Answer, NoAnswer> {
        let deadline = Instant::now() + limit;
        let mut tries = 1;
        loop {
            let silent = |_| NoAnswer::Silent(limit);
            let failed = match timeout_at(deadline, self.held()).await.map_err(silent)? {
                Err(error) => error,
                Ok(mut held) => match timeout_at(deadline, statement.ask(&mut held)).await {
                    Ok(Ok(answer)) => {
                        held.keep();
                        return Ok(answer);
                    }
                    Ok(Err(error)) => {
                        held.close();
                        error
                    }
                    Err(elapsed) => {
                        held.close();
                        return Err(silent(elapsed));
                    }
                },
            };
            if tries == TRIES || !is_unavailable(&failed) {
                return Err(failed.into());
            }
            tries += 1;
        }
    }

    /// Gives back into the pool what has not been used lately.
    pub fn give_idle_back(&self) {
        self.idle().retain(|idle| idle.since.elapsed() < self.keep);
    }

    /// Gives everything back into the pool, which finds out what of it still works.
    pub fn give_all_back(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks on some connection of the pool, as [`Kept::ask`] does.
///
/// # Errors
/// [`NoAnswer`]
pub async fn ask<S: Statement>(pool: &PgPool, statement: &S, limit: Duration) -> Result<S::Answer, NoAnswer> {
    Kept::one(pool.clone()).ask(statement, limit).await
}

impl Held<'_> {
    /// The statement has ended like this. Keeps the connection for the next one if that was well.
    ///
    /// # Errors
    /// That of the statement.
    pub fn settle<T>(self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        if result.is_ok() {
            self.keep();
        }
        result
    }

    fn keep(self) {
        let Self { connection, kept, _permit } = self;
        if !kept.keep.is_zero() {
            kept.idle().push(Idle { connection, since: Instant::now() });
        }
    }

    /// Without a word to a server that may hang: whatever state it is in, nobody asks it again.
    fn close(self) {
        drop(self.connection.detach());
    }
}

impl Deref for Held<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
