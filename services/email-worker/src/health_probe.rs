//! The health probe: while the circuit is open, finds out when it may close again.

use std::sync::Arc;

use opentelemetry::{KeyValue, global};
use platform::health::Component;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::circuit_breaker::{Cause, CircuitBreaker, Probe, State};
use crate::delivery::Processor;
use crate::rate::Throttled;
use crate::send::classify::Classification;

/// Probes whatever opened the circuit, when its backoff says so, and reports the circuit's state, until the token is
/// cancelled.
pub(crate) async fn run(processor: Arc<Processor>, health: Component, database: Component, stop: CancellationToken) {
    observe(&processor);
    let probing = async {
        loop {
            let probe = processor.breaker.next_probe().await;
            processor.breaker.probed(ask(&processor, probe, &database).await);
        }
    };
    let reporting = async {
        let (mut state, mut throttled) = (processor.breaker.watch(), processor.rate.throttled());
        let mut was_closed = *state.borrow() == State::Closed;
        loop {
            let now = *state.borrow_and_update();
            let limit = throttled.borrow_and_update().clone().filter(|limit| limit.holds(Instant::now()));
            report(&health, &processor.breaker, now, limit.as_ref());
            let is_closed = now == State::Closed;
            if is_closed && !was_closed {
                tracing::info!("the circuit is closed: mails are sent");
            }
            was_closed = is_closed;
            if !matches!(now, State::Open { cause: Cause::LedgerDown, .. }) {
                database.up();
            }
            let goes_on = tokio::select! {
                changed = state.changed() => changed.is_ok(),
                changed = throttled.changed() => changed.is_ok(),
                () = over(limit.filter(|limit| limit.rate.is_some())) => true,
            };
            if !goes_on {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = probing => {}
        () = reporting => {}
    }
}

/// Waits until the limit holds no more, unless something is refused meanwhile.
async fn over(limit: Option<Throttled>) {
    match limit {
        Some(limit) => tokio::time::sleep_until(limit.holds_until()).await,
        None => std::future::pending().await,
    }
}

async fn ask(processor: &Processor, probe: Probe, database: &Component) -> Result<(), Cause> {
    match probe {
        Probe::MailServer => processor.pool.probe().await.map_err(|error| {
            match processor.breaker.state() {
                State::Open { cause: Cause::NotProven, .. } => {
                    tracing::warn!(%error, "no task is taken, and it is not ready, before the mail server has greeted");
                }
                _ => tracing::info!(%error, "the mail server's outage lasts"),
            }
            let cause = Cause::MailServer(Classification::of(&error).outage());
            processor.breaker.heard(cause, &error);
            cause
        }),
        Probe::Ledger => processor.ledger.probe().await.map_err(|error| {
            tracing::info!(%error, "the ledger is still down");
            database.down(error.to_string());
            processor.breaker.heard(Cause::LedgerDown, &error);
            Cause::LedgerDown
        }),
    }
}

fn report(health: &Component, breaker: &CircuitBreaker, state: State, throttled: Option<&Throttled>) {
    let why = |cause: Cause| match breaker.words(cause) {
        Some(words) => format!("{}: {words}", cause.slug()),
        None => cause.slug().to_owned(),
    };
    match (state, throttled) {
        (State::Closed, None) => health.up(),
        (State::Closed, Some(throttled)) => health.limited(throttled.to_string()),
        // It is being asked for the first time.
        (State::Open { cause: Cause::NotProven, .. }, _) => {}
        (State::Open { cause, .. }, _) => health.down(format!("the circuit is open: {}", why(cause))),
        (State::HalfOpen { cause, .. }, _) => health.down(format!("the circuit is half-open after: {}", why(cause))),
    }
}

/// `sluice.circuit.open`: 1 with the cause while nothing is sent, else 0.
fn observe(processor: &Arc<Processor>) {
    let circuit = processor.breaker.clone();
    global::meter("email-worker")
        .u64_observable_gauge("sluice.circuit.open")
        .with_description("1 while the circuit is not closed, with the cause; else 0.")
        .with_callback(move |gauge| match circuit.state() {
            State::Closed | State::Open { cause: Cause::NotProven, .. } => gauge.observe(0, &[]),
            State::Open { cause, .. } | State::HalfOpen { cause, .. } => {
                gauge.observe(1, &[KeyValue::new("sluice.cause", cause.slug())]);
            }
        })
        .build();
}
