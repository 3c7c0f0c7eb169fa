//! The days that a row may have: each is a partition, made ahead and dropped when it is old.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use platform::postgres::{NoAnswer, Statement, ask};
use rand::RngExt as _;
use sqlx::{PgConnection, PgPool};
use time::{Date, OffsetDateTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::entry::moment;

/// Between two looks. Partitions are made two days ahead, so that a look may fail for a day.
const EVERY: Duration = Duration::from_secs(3600);
/// After a look that failed.
const AGAIN: Duration = Duration::from_secs(10);
/// It may take so long: tables are made.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The days that there are. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Days(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    /// The first and the last one; unknown before the first look.
    days: Option<(Date, Date)>,
    /// When to look again.
    next: Instant,
}

impl Default for Days {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Known { days: None, next: Instant::now() + AGAIN })))
    }
}

impl Days {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The day of this moment, or the nearest that there is.
    pub(super) fn of(&self, at: SystemTime) -> Option<Date> {
        let (oldest, newest) = self.known().days?;
        Some(moment(at).map_or(newest, OffsetDateTime::date).clamp(oldest, newest))
    }

    /// Makes the next days, drops the old ones, and knows from now on which there are.
    pub(super) async fn look(&self, pool: &PgPool, keeping: Duration) {
        let found = keep(pool, keeping).await;
        let mut known = self.known();
        match found {
            Ok(days) => {
                // Workers that started together do not look together.
                let wait = rand::rng().random_range(EVERY / 2..=EVERY);
                *known = Known { days: Some(days), next: Instant::now() + wait };
            }
            Err(error) => {
                tracing::warn!(%error, "the days of the mail log could not be kept up: once more in {AGAIN:?}");
                known.next = Instant::now() + AGAIN;
            }
        }
    }

    /// Looks whenever it is time until the token is cancelled.
    pub(super) async fn keep_up(&self, pool: PgPool, keeping: Duration, token: CancellationToken) {
        let looking = async {
            loop {
                let next = self.known().next;
                if next <= Instant::now() {
                    self.look(&pool, keeping).await;
                } else {
                    tokio::time::sleep_until(next).await;
                }
            }
        };
        token.run_until_cancelled(looking).await;
    }
}

/// Makes the partitions of the next days, drops those that are older than this, and says which there are.
///
/// # Errors
/// The database is away, or holds a lock on them.
pub async fn keep(pool: &PgPool, keep: Duration) -> Result<(Date, Date), NoAnswer> {
    ask(pool, &Keep(keep), ANSWER_WITHIN).await
}

struct Keep(Duration);

impl Statement for Keep {
    type Answer = (Date, Date);

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<(Date, Date)> {
        let keep = sqlx::query_as("SELECT oldest, newest FROM mail_log_keep(make_interval(secs => $1))");
        keep.bind(self.0.as_secs_f64()).fetch_one(conn).await
    }
}
