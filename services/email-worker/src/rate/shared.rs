//! What the actor and the handles share: counts, and what a fast fleet needs to know without asking.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::learnt::{Domain, Found, Refusal, Seconds, Taken};
use super::lease::Moment;
use super::limiter::Message;
use super::meter::Meter;
use super::permit::SendPermit;
use super::row::{Row, Terms};
use super::{Rate, RateCounts, Throttled};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counters: Counters,
    terms: Terms,
    pauses: AtomicBool,
    held_back: AtomicBool,
    origin: Instant,
    // Microseconds since the origin.
    free_until: AtomicU64,
    look_again: AtomicU64,
    episode: AtomicI64,
    in_force: watch::Sender<Option<Rate>>,
    ceiling: watch::Sender<Option<Rate>>,
    throttled: watch::Sender<Option<Throttled>>,
    taken: Mutex<Meter>,
    found: Mutex<Found>,
    // Weak, so that the actor ends with the last handle.
    inbox: mpsc::WeakSender<Message>,
}

impl Shared {
    pub(super) fn new(inbox: &mpsc::Sender<Message>, terms: Terms, told: bool) -> Arc<Self> {
        Arc::new(Self {
            counters: Counters::new(told),
            terms,
            pauses: AtomicBool::new(false),
            held_back: AtomicBool::new(false),
            origin: Instant::now(),
            free_until: AtomicU64::new(0),
            look_again: AtomicU64::new(0),
            episode: AtomicI64::new(0),
            in_force: watch::Sender::new(terms.ceiling),
            ceiling: watch::Sender::new(terms.ceiling),
            throttled: watch::Sender::new(None),
            taken: Mutex::new(Meter::default()),
            found: Mutex::default(),
            inbox: inbox.downgrade(),
        })
    }

    /// May mails go without a moment?
    pub(super) fn is_free(&self, now: Instant) -> bool {
        self.micros(now) < self.free_until.load(Ordering::Acquire)
    }

    /// Is it time to look at the row again, and nobody does yet?
    pub(super) fn look_again(&self, now: Instant) -> bool {
        self.micros(now) >= self.look_again.load(Ordering::Acquire)
            && self.look_again.swap(u64::MAX, Ordering::AcqRel) != u64::MAX
    }

    pub(super) fn free_until(&self, until: Instant, look_again: Instant) {
        self.look_again.store(self.micros(look_again), Ordering::Release);
        self.free_until.store(self.micros(until), Ordering::Release);
    }

    /// Was nothing in force, as far as this worker knew?
    pub(super) fn was_free(&self) -> bool {
        self.in_force.borrow().is_none()
    }

    pub(super) fn close(&self) {
        self.free_until.store(0, Ordering::Release);
    }

    pub(super) fn episode(&self) -> i64 {
        self.episode.load(Ordering::Acquire)
    }

    /// Takes in the row as it is `now`, with the terms that bind the fleet.
    pub(super) fn learn(&self, row: &Row, terms: Terms, now: Seconds) {
        let in_force = row.in_force(terms);
        let (pauses, held_back) = (terms.adapts && row.learnt.pauses(), in_force != terms.ceiling);
        self.pauses.store(pauses, Ordering::Release);
        self.held_back.store(held_back, Ordering::Release);
        self.episode.store(row.learnt.episode, Ordering::Release);
        *self.known() = row.learnt.found.still(now);
        self.ceiling.send_replace(terms.ceiling);
        self.in_force.send_if_modified(|known| std::mem::replace(known, in_force) != in_force);
        let throttled = (pauses || held_back).then(|| Throttled {
            rate: in_force.filter(|_| !pauses),
            reason: row.learnt.reason.clone(),
            refused_at: row.learnt.refused_at,
            holds_until: Instant::now() + row.learnt.expects_a_refusal_for(now),
        });
        self.throttled.send_if_modified(|known| {
            let is_news = match (&*known, &throttled) {
                (Some(known), Some(now)) => !known.says_the_same(now),
                (known, now) => known.is_some() != now.is_some(),
            };
            *known = throttled;
            is_news
        });
    }

    /// When some worker found that this reply, which does not say why, speaks of speed.
    pub(super) fn found(&self, reply: &str) -> Option<Seconds> {
        self.known().when(reply)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn throttled(&self) -> watch::Receiver<Option<Throttled>> {
        self.throttled.subscribe()
    }

    pub(super) fn in_force(&self) -> watch::Receiver<Option<Rate>> {
        self.in_force.subscribe()
    }

    /// What the fleet may send at most, whatever the server bears.
    pub(super) fn ceiling(&self) -> Option<Rate> {
        *self.ceiling.borrow()
    }

    /// A moment as those who wait get it; none: as fast as you like.
    pub(super) fn permit(self: &Arc<Self>, moment: Option<Moment>) -> SendPermit {
        SendPermit::new(moment, Arc::clone(self))
    }

    /// Tells the actor. One that is gone, or drowned in messages, does without.
    pub(super) fn tell(&self, message: Message) -> Result<(), Message> {
        let Some(inbox) = self.inbox.upgrade() else { return Err(message) };
        inbox.try_send(message).map_err(|error| error.into_inner())
    }

    /// The server took a mail.
    pub(super) fn took(&self, now: Instant) {
        self.counters.accept();
        self.meter().count(now.saturating_duration_since(self.origin));
    }

    /// The server said no to the speed of a mail that was let go in this episode; it may be this domain's own limit.
    pub(super) fn refused(&self, episode: i64, reason: &str, domain: Option<&str>) {
        self.counters.refuse();
        let taken = self.taken(Instant::now());
        // Lost, the next refusal says the same.
        let _ = self.tell(Message::Refused(Refusal {
            episode,
            reason: reason.to_owned(),
            taken,
            domain: domain.map(Domain::of),
        }));
    }

    pub(super) fn adapts(&self) -> bool {
        self.terms.adapts
    }

    /// Is something less than the ceiling in force?
    pub(super) fn is_held_back(&self) -> bool {
        self.held_back.load(Ordering::Acquire)
    }

    /// Does nobody send but a probe?
    pub(super) fn pauses(&self) -> bool {
        self.pauses.load(Ordering::Acquire)
    }

    /// What it took of late.
    pub(super) fn taken(&self, now: Instant) -> Taken {
        self.meter().taken(now.saturating_duration_since(self.origin))
    }

    fn meter(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Counts of this worker. Metrics that were renamed are told by their old names as well, for one release.
#[derive(Debug)]
pub(super) struct Counters {
    // In metrics as well?
    told: bool,
    leases: AtomicU64,
    handed_out: AtomicU64,
    expired: AtomicU64,
    refused: AtomicU64,
    accepted: AtomicU64,
    expired_metrics: [Counter<u64>; 2],
    refused_metric: Counter<u64>,
    wait_metrics: [Histogram<f64>; 2],
}

impl Counters {
    fn new(told: bool) -> Self {
        let meter = opentelemetry::global::meter("email-worker");
        let counters = Self {
            told,
            leases: AtomicU64::new(0),
            handed_out: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            expired_metrics: ["sluice.rate.permits.expired", "sluice.rate.slots.forfeited"].map(|name| {
                let counter = meter.u64_counter(name).with_unit("{permit}");
                counter.with_description("Permits of the fleet's rate that were leased and not used in time").build()
            }),
            refused_metric: meter
                .u64_counter("sluice.rate.refusals")
                .with_unit("{mail}")
                .with_description("Mails that the mail server refused because they came too fast; each is sent again")
                .build(),
            wait_metrics: ["sluice.rate.permit.wait", "sluice.rate.slot.wait"].map(|name| {
                let histogram = meter.f64_histogram(name).with_unit("s");
                let histogram = histogram.with_description("How long a mail waited for its permit of the fleet's rate");
                histogram.with_boundaries(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]).build()
            }),
        };
        // As of all counters that may stay at 0: the first one is to be seen as a rise.
        counters.expired_metrics.iter().for_each(|counter| counter.add(0, &[]));
        counters.refused_metric.add(0, &[]);
        counters
    }

    pub(super) fn lease(&self) {
        self.leases.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn hand_out(&self) {
        self.handed_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn expire(&self, permits: u64) {
        if permits > 0 {
            self.expired.fetch_add(permits, Ordering::Relaxed);
        }
        if permits > 0 && self.told {
            self.expired_metrics.iter().for_each(|counter| counter.add(permits, &[]));
        }
    }

    fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.refused_metric.add(1, &[]);
    }

    pub(super) fn waited(&self, how_long: Duration) {
        if !self.told {
            return;
        }
        self.wait_metrics.iter().for_each(|histogram| histogram.record(how_long.as_secs_f64(), &[]));
    }

    pub(super) fn read(&self) -> RateCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RateCounts {
            leases: read(&self.leases),
            handed_out: read(&self.handed_out),
            expired: read(&self.expired),
            refused: read(&self.refused),
            accepted: read(&self.accepted),
        }
    }
}
