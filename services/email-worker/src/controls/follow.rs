//! What holds, as this worker knows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{KeyValue, global};
use platform::backoff::Backoff;
use platform::postgres::ask;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::store::Read;
use super::{Apart, Ask, Closing, Control, Controls, Scope};
use crate::rate::FleetRate;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A look may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Waits between two looks before the first answer.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What holds at the moment, and how it changes.
pub(crate) type ControlsWatch = watch::Receiver<Arc<InForce>>;

/// What holds, with what keeps to it.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    controls: Controls,
    rates: HashMap<Scope, FleetRate>,
}

impl InForce {
    /// What operators ask for.
    pub(crate) fn controls(&self) -> &Controls {
        &self.controls
    }

    /// The rates that these mails keep to, beside the fleet's.
    pub(crate) fn rates(&self, apart: &Apart) -> impl Iterator<Item = &FleetRate> {
        apart.scopes().filter_map(|scope| self.rates.get(&scope))
    }
}

/// Keeps what holds up to date.
#[derive(Debug)]
pub(crate) struct Follower {
    pool: PgPool,
    known: watch::Sender<Arc<InForce>>,
    token: CancellationToken,
    limiters: JoinSet<()>,
}

impl Follower {
    /// Learns what holds before the first task: a fleet that is paused stays so over a restart. Waits for the database. Runs of
    /// limiters end with the token.
    pub(crate) async fn start(pool: PgPool, token: CancellationToken) -> Self {
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
        let known = watch::Sender::new(Arc::default());
        let mut follower = Self { pool, known, token, limiters: JoinSet::new() };
        loop {
            match ask(&follower.pool, &Read, ANSWER_WITHIN).await {
                Ok(controls) => {
                    follower.learn(controls);
                    observe(follower.watch());
                    return follower;
                }
                Err(error) => tracing::warn!(%error, "no task is taken before it is known whether sending is paused"),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// What holds, and how it changes.
    pub(crate) fn watch(&self) -> ControlsWatch {
        self.known.subscribe()
    }

    /// Looks once a second until the token is cancelled, and calls `changed` when something else holds, and `close` when somebody has
    /// the circuit closed. While the database is away what held before holds.
    pub(crate) async fn run(mut self, changed: impl Fn(), close: impl Fn() -> bool) {
        let stopped = self.token.clone();
        while stopped.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            match ask(&self.pool, &Read, ANSWER_WITHIN).await {
                Ok(controls) if self.known.borrow().controls != controls => {
                    if let Some(Closing { asked_by, reason, .. }) =
                        controls.closing_since(&self.known.borrow().controls)
                    {
                        let was_open = close();
                        tracing::info!(by = asked_by, reason, was_open, "an operator has the circuit closed");
                    }
                    self.learn(controls);
                    changed();
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "what operators ask for could not be looked at"),
            }
            while self.limiters.try_join_next().is_some() {}
        }
        while self.limiters.join_next().await.is_some() {}
    }

    fn learn(&mut self, controls: Controls) {
        tell(&self.known.borrow().controls, &controls);
        let before = Arc::clone(&self.known.borrow());
        let mut rates = HashMap::new();
        for scope in controls.limited() {
            let rate = before.rates.get(scope).cloned();
            rates.insert(scope.clone(), rate.unwrap_or_else(|| self.limiter(scope)));
        }
        // What they are now, they find by themselves; also what is limited no more, for the mails that wait.
        before.rates.values().for_each(FleetRate::look_again);
        self.known.send_replace(Arc::new(InForce { controls, rates }));
    }

    fn limiter(&mut self, scope: &Scope) -> FleetRate {
        let (rate, run) = FleetRate::of(self.pool.clone(), scope.clone(), self.token.clone());
        self.limiters.spawn(run);
        rate
    }
}

/// Tells as metrics how much is paused; what nobody looks at at night is easily forgotten.
fn observe(known: ControlsWatch) {
    global::meter("email-worker")
        .u64_observable_gauge("sluice.sending.paused")
        .with_description("Pauses that operators asked for and that hold, by what is paused")
        .with_callback(move |observer| {
            let known = known.borrow();
            for scope in ["fleet", "type", "domain"] {
                let paused = known.controls.pauses().filter(|paused| paused.columns().0 == scope).count();
                observer.observe(paused as u64, &[KeyValue::new("sluice.scope", scope)]);
            }
        })
        .build();
}

/// A line for each that is new, another, or gone.
fn tell(before: &Controls, now: &Controls) {
    let (before, now) = (before.all(), now.all());
    for control in now.iter().filter(|control| !before.contains(control)) {
        let (scope, by, reason) = (&control.scope, &control.set_by, &control.reason);
        match control.ask {
            Ask::Pause => tracing::warn!(%scope, by, reason, "sending is paused"),
            Ask::Limit { rate, at_once } => tracing::info!(%scope, %rate, at_once, by, reason, "sending is limited"),
        }
    }
    let same = |one: &Control, other: &Control| one.scope == other.scope && one.ask.kind() == other.ask.kind();
    for control in before.iter().filter(|control| !now.iter().any(|other| same(control, other))) {
        let scope = &control.scope;
        match control.ask {
            Ask::Pause => tracing::info!(%scope, "sending goes on"),
            Ask::Limit { .. } => tracing::info!(%scope, "sending is not limited any more"),
        }
    }
}
