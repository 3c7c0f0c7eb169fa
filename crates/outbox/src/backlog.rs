//! How much waits in an outbox, as metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::global;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::kind::Names;
use crate::rows::{self, Backlog};
use crate::table::Table;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Keeps the gauges of what waits up to date until the token is cancelled. What was seen last is reported on while the database is
/// away. `app` is whose metrics they are.
pub(crate) async fn watch(app: &'static str, names: Names, pool: PgPool, table: Table, stop: CancellationToken) {
    let seen = Arc::new(Mutex::new(Backlog { depth: 0, oldest: 0.0 }));
    let look = |seen: &Mutex<Backlog>| *seen.lock().unwrap_or_else(PoisonError::into_inner);
    let meter = global::meter(app);
    let (depth, oldest) = (Arc::clone(&seen), Arc::clone(&seen));
    meter
        .u64_observable_gauge(names.depth.0)
        .with_unit("{message}")
        .with_description(names.depth.1)
        .with_callback(move |gauge| gauge.observe(look(&depth).depth, &[]))
        .build();
    meter
        .f64_observable_gauge(names.oldest.0)
        .with_unit("s")
        .with_description(names.oldest.1)
        .with_callback(move |gauge| gauge.observe(look(&oldest).oldest, &[]))
        .build();
    let mut tick = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        match stop.run_until_cancelled(rows::backlog(&pool, &table)).await {
            None => return,
            Some(Ok(backlog)) => *seen.lock().unwrap_or_else(PoisonError::into_inner) = backlog,
            Some(Err(error)) => {
                tracing::warn!(
                    error = platform::postgres::words(&error),
                    "{} that wait could not be looked at",
                    names.rows
                );
            }
        }
    }
}
