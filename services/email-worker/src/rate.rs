//! The rate of the whole fleet: so many mails a second over all workers, however many there are; no more than the mail server
//! takes.
//!
//! One row in the database holds the next free moment, and what the fleet learnt about the server's own limit (`row`,
//! `learnt`). A worker leases a run of evenly spaced moments from it (`store`), and an actor hands them to whoever waits,
//! the longest first, each a little ahead (`limiter`). A moment that nobody takes in time expires, and is never saved up: a
//! fleet that was held up does not make up for it with a burst. Every order of leases, delays and crashes is checked in
//! `tests/models/src/rate.rs`; fleets of all sizes, at all rates and against servers that throttle in `simulation`.

mod ceilings;
mod clock;
mod learnt;
mod lease;
mod limiter;
mod meter;
mod news;
mod pace;
mod permit;
mod row;
mod scope;
mod shared;
#[cfg(test)]
mod simulation;
mod store;

use std::fmt;
use std::sync::Arc;

use opentelemetry::global;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::pace::{Ceiling, Rate, RateError};
pub use self::permit::SendPermit;
pub use self::scope::{InvalidScope, Scope};

use self::learnt::{Domain, Seconds};
use self::limiter::{Limiter, Message, Waiter};
use self::row::Terms;
use self::shared::Shared;
use self::store::{Apart, Database, Store};
use crate::ledger::LedgerDown;

/// More than a worker has sending slots, twice: each may wait, or tell how it went.
const INBOX: usize = 4096;

/// Leases and permits so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateCounts {
    /// Exchanges with the database.
    pub leases: u64,
    /// Permits handed out.
    pub handed_out: u64,
    /// Permits that nobody took in time.
    pub expired: u64,
    /// Mails that the server refused because they came too fast.
    pub refused: u64,
    /// Mails that it took.
    pub accepted: u64,
}

/// The mail server takes less than the ceiling.
#[derive(Debug, Clone)]
pub struct Throttled {
    /// What it takes; none: it takes no mails at the moment, and one after the other asks whether it does again.
    pub rate: Option<Rate>,
    /// What it said last.
    pub reason: String,
    /// When it said so, in seconds by the database's clock.
    refused_at: Seconds,
    /// Until then a refusal is to be expected at this rate; where none came, it is a bound that nobody has met.
    holds_until: Instant,
}

impl Throttled {
    /// Is it still so, or has nothing been refused for so long that the rate only bounds how fast the fleet may go?
    pub fn holds(&self, now: Instant) -> bool {
        self.rate.is_none() || now < self.holds_until
    }

    /// When it will hold no more, if nothing is refused until then.
    pub fn holds_until(&self) -> Instant {
        self.holds_until
    }

    fn says_the_same(&self, other: &Self) -> bool {
        (self.rate, &self.reason, self.refused_at) == (other.rate, &other.reason, other.refused_at)
    }
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate {
            Some(rate) => write!(f, "throttled by the mail server: {rate} is in force")?,
            None => f.write_str("throttled by the mail server: it takes none at the moment")?,
        }
        write!(f, "; it said: {}", self.reason)
    }
}

/// Why there is no leave to send.
#[derive(Debug)]
pub enum NoLeave<E> {
    /// The database, which alone can give permits, does not answer, or the worker is stopping.
    Down(LedgerDown),
    /// What must be right at the moment can't be made so.
    NotReady(E),
}

/// What must be right at the moment at which a mail goes.
pub trait Prepare: Send {
    /// Why it can't be made right.
    type Unready;

    /// Makes it right, at most half a second and half a spacing before the moment.
    fn prepare(&mut self) -> impl Future<Output = Result<(), Self::Unready>> + Send;
}

/// A handle to the fleet's rate. Clones share the actor.
#[derive(Debug, Clone)]
pub struct FleetRate {
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

impl FleetRate {
    /// Starts to take part in a rate that every worker of the database keeps to; with `adapts` the fleet learns what the
    /// mail server takes, up to the ceiling. Where workers have different ceilings, the lowest of those alive holds for all.
    ///
    /// The future is the actor: await it beside the worker. It ends when every handle is gone or the token is cancelled.
    pub fn start(
        pool: PgPool,
        ceiling: Ceiling,
        adapts: bool,
        token: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let terms = Terms { ceiling: ceiling.rate(), adapts };
        Self::over(Database::new(pool), terms, StdRng::from_rng(&mut rand::rng()), token)
    }

    /// The rate of the mails of a type or to a domain, as an operator limits it; the fleet's is beside it. The future is to be awaited
    /// as that of [`FleetRate::start`].
    pub(crate) fn of(pool: PgPool, scope: Scope, token: CancellationToken) -> (Self, impl Future<Output = ()> + Send) {
        let terms = Terms { ceiling: None, adapts: false };
        Self::over(Apart::new(pool, scope), terms, StdRng::from_rng(&mut rand::rng()), token)
    }

    /// One that was told nothing and leases nothing, for tests of what is asked of it.
    #[cfg(test)]
    pub(crate) fn at_rest(adapts: bool) -> Self {
        let (inbox, _) = mpsc::channel(1);
        let shared = Shared::new(&inbox, Terms { ceiling: None, adapts }, true);
        Self { inbox, shared }
    }

    /// `chance` spreads workers that wait for the same moment.
    fn over<S: Store>(
        store: S,
        terms: Terms,
        chance: StdRng,
        token: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let shared = Shared::new(&sender, terms, S::OF_FLEET);
        let limiter = Limiter::new(inbox, store, terms, chance, Arc::clone(&shared));
        (Self { inbox: sender, shared }, limiter.run(token))
    }

    /// Waits for leave to send one mail, and returns at its moment.
    ///
    /// A little before, `what` sees to all that must be right then: nothing else wears out while the mail waits for its turn. If
    /// that takes too long, the mail waits for the very next moment.
    ///
    /// # Errors
    /// [`NoLeave`]; the moment goes to whoever waits next.
    pub async fn leave<P: Prepare>(&self, what: &mut P) -> Result<SendPermit, NoLeave<P::Unready>> {
        let mut first = false;
        loop {
            let mut permit = self.permit(first).await.map_err(NoLeave::Down)?;
            what.prepare().await.map_err(NoLeave::NotReady)?;
            if permit.wait().await {
                return Ok(permit);
            }
            first = true;
        }
    }

    /// Waits for a moment, and lets it pass: what is to be done then needs nothing prepared.
    ///
    /// # Errors
    /// [`LedgerDown`], as [`FleetRate::permit`].
    pub async fn moment(&self) -> Result<(), LedgerDown> {
        let mut first = false;
        while !self.permit(first).await?.wait().await {
            first = true;
        }
        Ok(())
    }

    /// A permit, as early as it may be had: [`SendPermit::wait`] waits for its moment. `first`: before all others.
    ///
    /// # Errors
    /// [`LedgerDown`] when the database, which alone can give permits, does not answer, or when the worker is stopping.
    pub async fn permit(&self, first: bool) -> Result<SendPermit, LedgerDown> {
        let Self { inbox, shared } = self;
        let asked = Instant::now();
        if shared.is_free(asked) {
            if shared.look_again(asked) {
                // Lost, the row is looked at when nobody is free any more.
                let _ = inbox.try_send(Message::LookAgain);
            }
            shared.counters.hand_out();
            return Ok(shared.permit(None));
        }
        let (reply, handed_out) = oneshot::channel();
        inbox.send(Message::Wait(Waiter { reply, first })).await.map_err(|_| LedgerDown::stopping())?;
        let permit = handed_out.await.map_err(|_| LedgerDown::stopping())??;
        shared.counters.waited(asked.elapsed());
        Ok(permit)
    }

    /// Does the fleet learn what the mail server takes?
    pub fn adapts(&self) -> bool {
        self.shared.adapts()
    }

    /// Is the fleet held to less than the ceiling by what it learnt, as far as this worker knows?
    pub fn is_held_back(&self) -> bool {
        self.shared.is_held_back()
    }

    /// Does the fleet send nothing but a probe, as far as this worker knows?
    pub fn pauses(&self) -> bool {
        self.shared.pauses()
    }

    /// A reply that does not say why speaks of speed, as was found out after the fact: mails that were let go in this episode
    /// went too fast. The other workers are told.
    pub fn found(&self, reply: &str, episode: i64, reason: &str) {
        self.shared.refused(episode, reason, None);
        // Lost, each worker finds it out itself.
        let _ = self.shared.tell(Message::Found(reply.to_owned()));
    }

    /// When some worker of the fleet found so of this reply, by the clock of the fleet.
    pub fn when_found(&self, reply: &str) -> Option<f64> {
        self.shared.found(reply)
    }

    /// The limit that mails to this domain met is its own: what the fleet learnt from it, if anything, is to go.
    pub fn unlearn(&self, domain: &str) {
        // Lost, the domain's next refusal says the same.
        let _ = self.shared.tell(Message::Unlearn(Domain::of(domain)));
    }

    /// The rate in force, as far as this worker knows: the ceiling, or less. None: no limit.
    pub fn in_force(&self) -> watch::Receiver<Option<Rate>> {
        self.shared.in_force()
    }

    /// What holds the fleet back at the moment by what it learnt, as far as this worker knows.
    pub fn throttled(&self) -> watch::Receiver<Option<Throttled>> {
        self.shared.throttled()
    }

    /// An operator may have asked for another ceiling: it is looked at now.
    pub fn look_again(&self) {
        // Lost, it is seen a little later.
        let _ = self.shared.tell(Message::Asked);
    }

    /// Shows the rate in force, and the ceiling, as metrics.
    pub fn observe(&self) {
        // Not the handle itself, or the actor would never see the last one go.
        let (shared, ceiling) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let in_force = self.in_force();
        let meter = global::meter("email-worker");
        meter
            .f64_observable_gauge("sluice.rate.in_force")
            .with_description(
                "Mails a second that the fleet is held to, by MAIL_RATE or by what it learnt; 0 while it waits for the mail \
                 server to take any; absent: no limit",
            )
            .with_callback(move |observer| {
                if let Some(in_force) = *in_force.borrow() {
                    observer.observe(if shared.pauses() { 0.0 } else { in_force.mails_per_second() }, &[]);
                }
            })
            .build();
        meter
            .f64_observable_gauge("sluice.rate.ceiling")
            .with_description(
                "Mails a second that the fleet may send, by MAIL_RATE or as an operator asked; absent: no limit",
            )
            .with_callback(move |observer| {
                if let Some(rate) = ceiling.ceiling() {
                    observer.observe(rate.mails_per_second(), &[]);
                }
            })
            .build();
    }

    /// What was leased and handed out so far.
    pub fn counts(&self) -> RateCounts {
        self.shared.counters.read()
    }
}
