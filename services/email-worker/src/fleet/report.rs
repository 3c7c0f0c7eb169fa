//! A worker's report, every few seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform::postgres;
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store::{Gone, Report};
use crate::circuit_breaker::State;
use crate::delivery::Processor;
use crate::metrics::Tally;

/// How often.
const EVERY: Duration = Duration::from_secs(5);
/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Reports until told to end, and once more then. What could not be told is told with the next.
pub(crate) async fn report(processor: Arc<Processor>, pool: PgPool, name: String, token: CancellationToken) {
    let worker = Uuid::now_v7();
    let mut told = Tally::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ended = token.run_until_cancelled(ticks.tick()).await.is_none();
        let tally = processor.metrics.tally();
        let report = of(&processor, worker, &name, since(&told, &tally));
        match postgres::ask(&pool, &report, ANSWER_WITHIN).await {
            Ok(()) => told = tally,
            Err(error) => tracing::debug!(%error, "this worker's report could not be written"),
        }
        if ended {
            break;
        }
    }
    // Left there, it would be shown for some seconds more.
    if let Err(error) = postgres::ask(&pool, &Gone(worker), ANSWER_WITHIN).await {
        tracing::debug!(%error, "this worker's report could not be taken back");
    }
}

fn of(processor: &Processor, worker: Uuid, name: &str, counts: Vec<(&'static str, &'static str, u64)>) -> Report {
    let (circuit, cause) = match processor.breaker.state() {
        State::Closed => ("closed", None),
        State::Open { cause, .. } => ("open", Some(cause.slug())),
        State::HalfOpen { cause, .. } => ("half-open", Some(cause.slug())),
    };
    let throttled = processor.rate.throttled().borrow().as_ref().map(|throttled| throttled.reason.clone());
    let rate = processor.rate.in_force().borrow().map(|rate| rate.to_string());
    Report {
        worker,
        name: name.to_owned(),
        circuit,
        cause,
        in_flight: i32::try_from(processor.in_flight.len()).unwrap_or(i32::MAX),
        rate,
        throttled,
        last_delay: processor.metrics.last_delay(),
        counts,
    }
}

/// What came since it was told the last time.
fn since(told: &Tally, now: &Tally) -> Vec<(&'static str, &'static str, u64)> {
    let before: BTreeMap<_, _> = told.iter().copied().map(|(kind, reason, count)| ((kind, reason), count)).collect();
    let counts = now.iter().map(|(kind, reason, count)| {
        (*kind, *reason, count.saturating_sub(before.get(&(*kind, *reason)).copied().unwrap_or(0)))
    });
    counts.filter(|(_, _, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again() {
        let told = vec![("sent", "", 5), ("dead", "blocked", 1)];
        let now = vec![("sent", "", 9), ("dead", "blocked", 1), ("dead", "mailbox-full", 2)];
        assert_eq!(since(&told, &now), [("sent", "", 4), ("dead", "mailbox-full", 2)]);
        assert_eq!(since(&now, &now), []);
    }
}
