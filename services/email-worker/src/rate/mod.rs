//! The rate of the whole fleet: so many mails a second over all workers, however many there are.
//!
//! One row in the database holds the next free moment. A worker leases a run of evenly spaced slots from it (`lease`), and
//! an actor hands them to whoever waits, each at its moment (`dispenser`). A slot that nobody takes in time is forfeited,
//! never saved up: a fleet that was held up does not make up for it with a burst. Every order of leases, delays and crashes
//! is checked in `tests/models/src/rate.rs`.

mod clock;
mod dispenser;
mod lease;
mod supply;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, ready};
use opentelemetry::metrics::{Counter, Histogram};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::dispenser::Dispenser;
use crate::ledger::LedgerDown;
use crate::ledger::link::Link;

/// A slot that is later than this is forfeited: what a burst can hold is bounded by it.
pub const TOLERANCE: Duration = Duration::from_millis(25);

/// A lease may take so long; then the database counts as down.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// More than a worker has sending slots.
const QUEUE: usize = 1024;

/// Leave to send one mail.
#[derive(Debug)]
#[must_use = "a slot that is not used is a mail less for the fleet"]
pub struct Slot {
    // None: there is no limit.
    moment: Option<Instant>,
}

impl Slot {
    /// Is it still good? One that is late must be given up, see [`FleetRate::forfeit`].
    pub fn fresh(&self) -> bool {
        self.moment.is_none_or(|moment| Instant::now() <= moment + TOLERANCE)
    }
}

/// Leases and slots so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateCounts {
    /// Round trips to the database.
    pub leases: u64,
    /// Slots handed out.
    pub handed_out: u64,
    /// Slots that nobody took in time.
    pub forfeited: u64,
}

#[derive(Debug)]
struct Counters {
    leases: AtomicU64,
    handed_out: AtomicU64,
    forfeited: AtomicU64,
    forfeited_metric: Counter<u64>,
    wait_metric: Histogram<f64>,
}

impl Counters {
    fn new() -> Self {
        let meter = opentelemetry::global::meter("email-worker");
        let counters = Self {
            leases: AtomicU64::new(0),
            handed_out: AtomicU64::new(0),
            forfeited: AtomicU64::new(0),
            forfeited_metric: meter
                .u64_counter("sluice.rate.slots.forfeited")
                .with_unit("{slot}")
                .with_description("Slots of the fleet's rate that were leased and not used in time")
                .build(),
            wait_metric: meter
                .f64_histogram("sluice.rate.slot.wait")
                .with_unit("s")
                .with_description("How long a mail waited for its slot of the fleet's rate")
                .with_boundaries(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0])
                .build(),
        };
        // As of all counters that may stay at 0: the first one is to be seen as a rise.
        counters.forfeited_metric.add(0, &[]);
        counters
    }

    fn forfeit(&self, slots: u64) {
        if slots > 0 {
            self.forfeited.fetch_add(slots, Ordering::Relaxed);
            self.forfeited_metric.add(slots, &[]);
        }
    }
}

/// A handle to the fleet's rate. Clones share the actor.
#[derive(Debug, Clone)]
pub struct FleetRate {
    // None: there is no limit.
    limited: Option<Limited>,
}

#[derive(Debug, Clone)]
struct Limited {
    queue: mpsc::Sender<Waiter>,
    counters: Arc<Counters>,
}

/// Somebody who waits for a slot.
type Waiter = oneshot::Sender<Result<Slot, LedgerDown>>;

impl FleetRate {
    /// Starts to take part in a rate of `mails_per_second` that every worker of the database keeps to; 0 is no limit.
    ///
    /// The future is the actor: await it beside the worker. It ends when every handle is gone or the token is cancelled.
    pub fn start(
        pool: PgPool,
        mails_per_second: u32,
        token: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        if mails_per_second == 0 {
            return (Self::unlimited(), Either::Left(ready(())));
        }
        let (sender, queue) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::new());
        let link = Link::new(pool, ANSWER_WITHIN);
        let dispenser = Dispenser::new(queue, link, mails_per_second, Arc::clone(&counters));
        (Self { limited: Some(Limited { queue: sender, counters }) }, Either::Right(dispenser.run(token)))
    }

    /// No limit: every slot is there at once.
    pub fn unlimited() -> Self {
        Self { limited: None }
    }

    /// Waits for a slot, and returns at its moment.
    ///
    /// # Errors
    /// [`LedgerDown`] when the database, which alone can give slots, does not answer, or when the worker is stopping.
    pub async fn slot(&self) -> Result<Slot, LedgerDown> {
        let Some(Limited { queue, counters }) = &self.limited else {
            return Ok(Slot { moment: None });
        };
        let asked = Instant::now();
        let (waiter, handed_out) = oneshot::channel();
        queue.send(waiter).await.map_err(|_| LedgerDown::stopping())?;
        let slot = handed_out.await.map_err(|_| LedgerDown::stopping())??;
        counters.wait_metric.record(asked.elapsed().as_secs_f64(), &[]);
        Ok(slot)
    }

    /// Gives up a slot that came too late to be used. It is counted, and gone.
    pub fn forfeit(&self, slot: Slot) {
        if let (Some(limited), Some(_)) = (&self.limited, slot.moment) {
            limited.counters.forfeit(1);
        }
    }

    /// What was leased and handed out so far; zeros without a limit.
    pub fn counts(&self) -> RateCounts {
        let Some(Limited { counters, .. }) = &self.limited else { return RateCounts::default() };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RateCounts {
            leases: read(&counters.leases),
            handed_out: read(&counters.handed_out),
            forfeited: read(&counters.forfeited),
        }
    }
}
