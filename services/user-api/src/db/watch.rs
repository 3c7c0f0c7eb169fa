//! Whether the database is there: asked all the time, so that requests need not find out one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use platform::health::Component;
use sqlx::{Connection as _, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Lanes;

/// How often it is asked: while it is there, and while it is not.
const WHILE_UP: Duration = Duration::from_secs(2);
const WHILE_DOWN: Duration = Duration::from_millis(250);
/// How long it may take to answer.
const PROBE: Duration = Duration::from_secs(2);

/// What is known of the database at the moment. Clones share it.
#[derive(Debug, Clone)]
pub struct Availability {
    down: Arc<AtomicBool>,
    suspected: Arc<Notify>,
}

impl Availability {
    /// Assumed to be there.
    pub fn new() -> Self {
        Self { down: Arc::new(AtomicBool::new(false)), suspected: Arc::new(Notify::new()) }
    }

    /// It did not answer when it was last asked.
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// A statement got no answer: time to ask again.
    pub fn suspect(&self) {
        self.suspected.notify_one();
    }

    fn set(&self, down: bool) -> bool {
        self.down.swap(down, Relaxed) != down
    }
}

impl Default for Availability {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks the database until the token is cancelled, and tells `availability` and `health` what it found.
pub async fn watch(
    pool: PgPool,
    lanes: Lanes,
    availability: Availability,
    health: Component,
    token: CancellationToken,
) {
    let watch = async {
        loop {
            let pause = match probe(&pool).await {
                Ok(()) => {
                    if availability.set(false) {
                        tracing::info!("the database is back");
                    }
                    health.up();
                    lanes.give_idle_back();
                    WHILE_UP
                }
                Err(reason) => {
                    if availability.set(true) {
                        tracing::warn!(reason, "the database is not available");
                    }
                    health.down(reason);
                    lanes.give_all_back();
                    discard_broken(&pool).await;
                    WHILE_DOWN
                }
            };
            let _ = tokio::time::timeout(pause, availability.suspected.notified()).await;
        }
    };
    token.run_until_cancelled(watch).await;
}

async fn probe(pool: &PgPool) -> Result<(), String> {
    let asked = sqlx::query_scalar::<_, bool>("SELECT to_regclass('idempotency_keys') IS NOT NULL");
    match tokio::time::timeout(PROBE, asked.fetch_one(pool)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("the tables are missing: run `user-api migrate`".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PROBE:?}")),
    }
}

/// Connections of a server that has died lie in the pool until somebody uses them, and fails. Better us than a request.
async fn discard_broken(pool: &PgPool) {
    let mut sound = Vec::new();
    while let Some(mut connection) = pool.try_acquire() {
        match tokio::time::timeout(PROBE, connection.ping()).await {
            Ok(Ok(())) => sound.push(connection),
            Ok(Err(_)) | Err(_) => connection.close_on_drop(),
        }
    }
}
