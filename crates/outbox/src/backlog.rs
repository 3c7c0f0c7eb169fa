//! How much waits in the outbox, as metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::global;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::rows::{self, Backlog};
use crate::table::Table;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Keeps `sluice.outbox.depth` and `sluice.outbox.oldest.age` up to date until the token is cancelled. What was seen last
/// is reported on while the database is away. `app` is whose metrics they are.
pub(crate) async fn watch(app: &'static str, pool: PgPool, table: Table, stop: CancellationToken) {
    let seen = Arc::new(Mutex::new(Backlog { depth: 0, oldest: 0.0 }));
    let look = |seen: &Mutex<Backlog>| *seen.lock().unwrap_or_else(PoisonError::into_inner);
    let meter = global::meter(app);
    let (depth, oldest) = (Arc::clone(&seen), Arc::clone(&seen));
    meter
        .u64_observable_gauge("sluice.outbox.depth")
        .with_unit("{message}")
        .with_description("Tasks that wait in the outbox, of all replicas; counted up to 100,000.")
        .with_callback(move |gauge| gauge.observe(look(&depth).depth, &[]))
        .build();
    meter
        .f64_observable_gauge("sluice.outbox.oldest.age")
        .with_unit("s")
        .with_description("Age of the oldest task in the outbox.")
        .with_callback(move |gauge| gauge.observe(look(&oldest).oldest, &[]))
        .build();
    let mut tick = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        match stop.run_until_cancelled(rows::backlog(&pool, &table)).await {
            None => return,
            Some(Ok(backlog)) => *seen.lock().unwrap_or_else(PoisonError::into_inner) = backlog,
            Some(Err(error)) => {
                tracing::warn!(error = platform::postgres::words(&error), "the outbox could not be looked at");
            }
        }
    }
}
