//! Connections for requests, which skip a question of the pool's.
//!
//! The pool asks the server on every return whether the connection still works: a second round trip for each registration. A
//! connection that has just answered a statement need not be asked. One that failed, or whose caller went away, goes back into the
//! pool and is.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What is unused for so long goes back into the pool: nobody knows whether it still works, and the pool closes what is too old.
const IDLE: Duration = Duration::from_secs(5);
/// Connections that requests leave to the relay and to what looks after the database.
const OTHERS: u32 = 2;

/// As many connections of a pool as requests may use at once. Clones share them.
#[derive(Debug, Clone)]
pub struct Lanes {
    pool: PgPool,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Idle>>>,
    /// Whether connections are kept at all: a pool that is too small needs each of them back.
    keep: bool,
}

#[derive(Debug)]
struct Idle {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

/// One of them, for one statement. Dropped, it goes back into the pool.
#[derive(Debug)]
pub struct Lane<'l> {
    connection: PoolConnection<Postgres>,
    lanes: &'l Lanes,
    _permit: Option<SemaphorePermit<'l>>,
}

impl Lanes {
    /// All connections of the pool but two, which are for others.
    pub fn new(pool: PgPool) -> Self {
        let lanes = pool.options().get_max_connections().saturating_sub(OTHERS);
        let permits = Arc::new(Semaphore::new(usize::try_from(lanes.max(1)).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { pool, permits, idle: Arc::default(), keep: lanes > 0 }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The database is away.
    pub(super) async fn lane(&self) -> sqlx::Result<Lane<'_>> {
        // Never closed, so there is always a permit.
        let permit = self.permits.acquire().await.ok();
        let idle = self.idle().pop().filter(|idle| idle.since.elapsed() < IDLE);
        let connection = match idle {
            Some(idle) => idle.connection,
            None => self.pool.acquire().await?,
        };
        Ok(Lane { connection, lanes: self, _permit: permit })
    }

    /// Gives back into the pool what has not been used lately.
    pub(super) fn give_idle_back(&self) {
        self.idle().retain(|idle| idle.since.elapsed() < IDLE);
    }

    /// Gives everything back into the pool, which finds out what of it still works.
    pub fn give_all_back(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane<'_> {
    /// The statement has ended like this. Keeps the connection for the next one if that was well.
    pub(super) fn settle<T>(self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        let Self { connection, lanes, _permit } = self;
        if result.is_ok() && lanes.keep {
            lanes.idle().push(Idle { connection, since: Instant::now() });
        }
        result
    }
}

impl Deref for Lane<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lane<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
