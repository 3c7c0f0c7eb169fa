//! A service's database: its connections, what is known of it, and who looks after it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{Availability, DbError, Kept, Probe, UnfitPooler, purge, watch};
use crate::health::Component;
use crate::tasks::Tasks;

/// For connections to say goodbye; one that hangs is left to the server.
const GOODBYE: Duration = Duration::from_secs(1);

/// The database that a service watches. Clones share it.
#[derive(Debug, Clone)]
pub struct WatchedDatabase {
    /// Its connections.
    pub pool: PgPool,
    /// Those of them that are kept.
    pub kept: Kept,
    /// What is known of it.
    pub availability: Availability,
    /// Why the service ended, if it was found out at its start that the database can't be used.
    unfit: Arc<OnceLock<UnfitPooler>>,
}

impl WatchedDatabase {
    /// Nothing is known of it yet. `kept` are connections of `pool`.
    pub fn new(pool: PgPool, kept: Kept) -> Self {
        Self { pool, kept, availability: Availability::new(), unfit: Arc::default() }
    }

    /// Starts the task that asks `probe` all the time and tells `health`, until `stop` is cancelled. A pooler that can't be used cancels
    /// `end`, which is the service's own.
    pub fn watch(
        &self,
        tasks: &mut Tasks,
        probe: impl Probe,
        health: Component,
        end: CancellationToken,
        stop: CancellationToken,
    ) {
        let watch = watch(self.pool.clone(), self.kept.clone(), probe, self.availability.clone(), health, stop.clone());
        let unfit = Arc::clone(&self.unfit);
        tasks.spawn("database", async move {
            if let Err(pooler) = watch.await {
                let _ = unfit.set(pooler);
                end.cancel();
                stop.cancelled().await;
            }
        });
    }

    /// Does the work once the database was found to be what it must be: nothing is asked of it before.
    pub fn once_proven<W: Future<Output = ()>>(
        &self,
        stop: CancellationToken,
        work: W,
    ) -> impl Future<Output = ()> + use<W> {
        let availability = self.availability.clone();
        async move {
            if stop.run_until_cancelled(availability.proven()).await.is_some() {
                work.await;
            }
        }
    }

    /// Starts the task `name`, which removes `what` by [`purge`] until `stop` is cancelled.
    pub fn purge<P>(
        &self,
        tasks: &mut Tasks,
        name: &'static str,
        what: &'static str,
        batch: fn(PgPool, i64) -> P,
        stop: CancellationToken,
    ) where
        P: Future<Output = Result<u64, DbError>> + Send + 'static,
    {
        let pool = self.pool.clone();
        let purging = purge(what, move |limit| batch(pool.clone(), limit), stop.clone());
        tasks.spawn(name, self.once_proven(stop, purging));
    }

    /// Gives all connections back, and waits a moment for them to be closed.
    pub(crate) async fn close(&self) {
        self.kept.give_all_back();
        let _ = tokio::time::timeout(GOODBYE, self.pool.close()).await;
    }

    /// Was it found that it can't be used?
    pub(crate) fn is_fit(&self) -> anyhow::Result<()> {
        match self.unfit.get() {
            Some(unfit) => Err(unfit.clone()).context("the database of DATABASE_URL"),
            None => Ok(()),
        }
    }
}
