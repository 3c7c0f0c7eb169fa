//! Workers that share a database.

use std::ops::Deref;
use std::time::Duration;

use email_worker::ledger::{Ledger, LedgerOptions, MIGRATOR};
use sqlx::PgPool;
use testkit::{Database, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Tests beside each other, at most. One that measures what a fleet manages in a second has the machine for itself.
const ALL: u32 = 64;
static ROOM: Semaphore = Semaphore::const_new(ALL as usize);

/// A migrated database of the test's own, dropped with this value. A test has one.
pub(crate) struct Home {
    pool: PgPool,
    _database: Database,
    _room: SemaphorePermit<'static>,
}

impl Home {
    async fn new(database: Database, connections: u32, room: SemaphorePermit<'static>) -> Self {
        let url = database.url().parse().unwrap();
        let pool = platform::postgres::pool(&url, connections, "ledger-tests").unwrap();
        platform::postgres::migrate(&pool, &MIGRATOR).await.unwrap();
        Self { pool, _database: database, _room: room }
    }

    /// In the server that all tests share.
    pub(crate) async fn shared() -> Self {
        let room = ROOM.acquire().await.unwrap();
        Self::new(testkit::database().await, 16, room).await
    }

    /// The same with no other test beside it, for one that measures time.
    pub(crate) async fn alone() -> Self {
        let room = ROOM.acquire_many(ALL).await.unwrap();
        Self::new(testkit::database().await, 16, room).await
    }

    /// In a server of one's own.
    pub(crate) async fn within(server: &Postgres, connections: u32) -> Self {
        let room = ROOM.acquire().await.unwrap();
        Self::new(server.database().await, connections, room).await
    }

    /// The same with no other test beside it.
    pub(crate) async fn alone_within(server: &Postgres, connections: u32) -> Self {
        let room = ROOM.acquire_many(ALL).await.unwrap();
        Self::new(server.database().await, connections, room).await
    }
}

impl Deref for Home {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.pool
    }
}

/// The ledger of one worker, with its actors.
pub(crate) struct Worker {
    pub(crate) ledger: Ledger,
    pub(crate) token: CancellationToken,
    actors: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(pool: &PgPool) -> Self {
        Self::with(pool, LedgerOptions::new(LEASE))
    }

    pub(crate) fn with(pool: &PgPool, options: LedgerOptions) -> Self {
        let token = CancellationToken::new();
        let (ledger, actors) = Ledger::start(pool.clone(), Uuid::now_v7(), options, token.clone());
        let actors = tokio::spawn(async {
            tokio::join!(actors.claims, actors.marks);
        });
        Self { ledger, token, actors }
    }

    /// Ends the actors, and waits for them.
    pub(crate) async fn stop(self) {
        self.token.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.actors)
            .await
            .expect("the ledger's actors end soon after the token")
            .unwrap();
    }
}
