//! The actor that leases slots when somebody waits for them, and hands each out at its moment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use rand::RngExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::lease::{Granted, Lease};
use super::supply::Supply;
use super::{Counters, Slot, Waiter};
use crate::ledger::LedgerDown;
use crate::ledger::link::Link;

/// Before the next try, when the database does not answer.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Before the next try, when the fleet has leased a second ahead: at random, so that each worker gets its share.
const WHEN_FAR_AHEAD: std::ops::Range<Duration> = Duration::from_millis(50)..Duration::from_millis(150);

/// A lease that is being asked for, with the connection it is asked on.
type Leasing = BoxFuture<'static, (Link, Leased)>;

struct Leased {
    count: u32,
    asked: Instant,
    answered: Instant,
    granted: Result<Option<Granted>, LedgerDown>,
}

pub(super) struct Dispenser {
    queue: mpsc::Receiver<Waiter>,
    waiters: VecDeque<Waiter>,
    supply: Supply,
    clock: Clock,
    // None while it is in use.
    link: Option<Link>,
    not_before: Instant,
    counters: Arc<Counters>,
}

impl Dispenser {
    pub(super) fn new(
        queue: mpsc::Receiver<Waiter>,
        link: Link,
        mails_per_second: u32,
        counters: Arc<Counters>,
    ) -> Self {
        let supply = Supply::new(mails_per_second);
        let not_before = Instant::now();
        Self {
            queue,
            waiters: VecDeque::new(),
            supply,
            clock: Clock::new(not_before),
            link: Some(link),
            not_before,
            counters,
        }
    }

    /// Runs until the token is cancelled or every handle is gone.
    pub(super) async fn run(mut self, token: CancellationToken) {
        let stopped = token.cancelled_owned();
        let timer = sleep_until(Instant::now());
        tokio::pin!(stopped, timer);
        let mut leasing = OptionFuture::<Leasing>::default();
        loop {
            let now = Instant::now();
            self.hand_out(now);
            let low = self.supply.is_low(self.waiters.len());
            if low
                && now >= self.not_before
                && let Some(link) = self.link.take()
            {
                leasing = Some(self.lease(link, now)).into();
            }
            let wake = self.next_wake(low);
            if let Some(at) = wake {
                timer.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                () = &mut stopped => return,
                Some((link, leased)) = &mut leasing => {
                    leasing = None.into();
                    self.link = Some(link);
                    self.take_in(leased);
                }
                () = &mut timer, if wake.is_some() => {}
                waiter = self.queue.recv() => match waiter {
                    Some(waiter) => self.waiters.push_back(waiter),
                    None => return,
                },
            }
            while let Ok(waiter) = self.queue.try_recv() {
                self.waiters.push_back(waiter);
            }
        }
    }

    /// Gives every slot that is due to a waiter: a timer is as coarse as a millisecond, and a fast rate has several in one.
    fn hand_out(&mut self, now: Instant) {
        self.counters.forfeit(self.supply.drop_late(now));
        let mut handed_out = 0;
        while let Some(waiter) = self.waiters.pop_front_if(|_| self.supply.is_due(now)) {
            // A slot goes to the next one when this one no longer waits.
            if let Some(moment) = self.supply.take()
                && waiter.send(Ok(Slot { moment: Some(moment) })).is_err()
            {
                self.supply.put_back(moment);
            } else {
                handed_out += 1;
            }
        }
        self.counters.handed_out.fetch_add(handed_out, Ordering::Relaxed);
    }

    /// When to look again without any news: at the next slot, or when leasing may be tried again.
    fn next_wake(&self, low: bool) -> Option<Instant> {
        if self.waiters.is_empty() {
            return None;
        }
        let retry = (low && self.link.is_some()).then_some(self.not_before);
        [self.supply.next(), retry].into_iter().flatten().min()
    }

    fn lease(&mut self, mut link: Link, now: Instant) -> Leasing {
        let count = self.supply.next_size(now);
        let statement = Lease { slots: count, spacing: self.supply.spacing() };
        self.counters.leases.fetch_add(1, Ordering::Relaxed);
        async move {
            let asked = Instant::now();
            let granted = link.ask(&statement).await;
            (link, Leased { count, asked, answered: Instant::now(), granted })
        }
        .boxed()
    }

    fn take_in(&mut self, leased: Leased) {
        let Leased { count, asked, answered, granted } = leased;
        match granted {
            Ok(Some(Granted { first, now })) => {
                self.clock.learn(asked, answered, now);
                match self.clock.moment(first) {
                    Some(first) => self.supply.add(count, first),
                    // A time that no clock shows.
                    None => self.counters.forfeit(count.into()),
                }
            }
            Ok(None) => self.not_before = answered + rand::rng().random_range(WHEN_FAR_AHEAD),
            Err(down) => {
                self.not_before = answered + AFTER_FAILURE;
                // Those for whom slots are left wait on.
                let served = self.supply.len().min(self.waiters.len());
                for waiter in self.waiters.drain(served..) {
                    // Whoever no longer waits needs no answer.
                    let _ = waiter.send(Err(down.clone()));
                }
            }
        }
    }
}
