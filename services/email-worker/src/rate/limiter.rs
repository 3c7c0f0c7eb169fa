//! The actor that leases moments when somebody waits for them, and hands each out in time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::learnt::{Domain, Refusal, Taken};
use super::lease::{Lease, Moment};
use super::news::News;
use super::pace::Rate;
use super::permit::SendPermit;
use super::row::{Ask, Grant, Terms};
use super::shared::Shared;
use super::store::{Answer, Store};
use crate::ledger::LedgerDown;

/// Before the next try, when the database does not answer.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// At random after the moment at which there may be more, so that each worker gets its share.
const JITTER: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(100);
/// The row is looked at so often at least while somebody waits, for what other workers did: while all wait for a probe, and
/// otherwise; a slow fleet's twenty times between two mails.
const LOOKED_AT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// And so often also while nobody waits: the others are to know that this worker is there, and it what they know. Several
/// times in [`ALIVE_FOR`](super::ceilings::ALIVE_FOR).
const LOOKED_AT_WHEN_IDLE: Duration = Duration::from_secs(10);
/// Without a limit the row is looked at so often: more and more rarely while it stays so.
const FREE_FOR: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// Somebody who waits for a moment.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) reply: oneshot::Sender<Result<SendPermit, LedgerDown>>,
    /// It has waited for its turn before.
    pub(super) first: bool,
}

/// What the actor is told.
#[derive(Debug)]
pub(super) enum Message {
    Wait(Waiter),
    /// A moment that was handed out and not used.
    Back(Moment),
    /// The server said no to the speed.
    Refused(Refusal),
    /// The server answered the probe of this episode.
    Answered(i64),
    /// What this domain's refusals spoke of is its own limit.
    Unlearn(Domain),
    /// This reply, which does not say why, was found to speak of speed.
    Found(String),
    /// It is free, and not for long.
    LookAgain,
    /// An operator asked for another ceiling.
    Asked,
}

/// An exchange with the row that is under way.
type Exchange<S> = BoxFuture<'static, (S, Exchanged)>;

struct Exchanged {
    ask: Ask,
    asked: Instant,
    answered: Instant,
    answer: Result<Answer, LedgerDown>,
}

pub(super) struct Limiter<S> {
    inbox: mpsc::Receiver<Message>,
    waiters: VecDeque<Waiter>,
    lease: Lease,
    clock: Clock,
    // None while it is in use.
    store: Option<S>,
    terms: Terms,
    chance: StdRng,
    not_before: Instant,
    // When the row is looked at for no other reason.
    look_at: Instant,
    free_for: Duration,
    // Reports that the row does not have yet. While there is a refusal, nothing is handed out.
    refused: Option<Refusal>,
    answered: Option<i64>,
    took: Option<Taken>,
    unlearn: Vec<Domain>,
    found: Vec<String>,
    // As of the last look at the row.
    doubted: Vec<Domain>,
    look_again: bool,
    news: News,
    shared: Arc<Shared>,
}

impl<S: Store> Limiter<S> {
    pub(super) fn new(
        inbox: mpsc::Receiver<Message>,
        store: S,
        terms: Terms,
        chance: StdRng,
        shared: Arc<Shared>,
    ) -> Self {
        let now = Instant::now();
        Self {
            inbox,
            waiters: VecDeque::new(),
            lease: Lease::new(),
            clock: Clock::new(now),
            store: Some(store),
            terms,
            chance,
            not_before: now,
            look_at: now,
            free_for: FREE_FOR.0,
            refused: None,
            answered: None,
            took: None,
            unlearn: Vec::new(),
            found: Vec::new(),
            doubted: Vec::new(),
            look_again: false,
            news: News::default(),
            shared,
        }
    }

    /// Runs until the token is cancelled or every handle is gone.
    pub(super) async fn run(mut self, token: CancellationToken) {
        let stopped = token.cancelled_owned();
        let timer = sleep_until(Instant::now());
        tokio::pin!(stopped, timer);
        let mut exchange = OptionFuture::<Exchange<S>>::default();
        loop {
            let now = Instant::now();
            self.hand_out(now);
            if let Some(begun) = self.begin(now) {
                exchange = Some(begun).into();
            }
            let wake = self.next_wake();
            if let Some(at) = wake {
                timer.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                () = &mut stopped => return,
                Some((store, exchanged)) = &mut exchange => {
                    exchange = None.into();
                    self.store = Some(store);
                    self.take_in(exchanged);
                }
                () = &mut timer, if wake.is_some() => {}
                message = self.inbox.recv() => match message {
                    Some(message) => self.hear(message),
                    None => return,
                },
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.hear(message);
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Wait(waiter) if waiter.first => self.waiters.push_front(waiter),
            Message::Wait(waiter) => self.waiters.push_back(waiter),
            Message::Back(moment) if moment.episode == self.shared.episode() => self.lease.put_back(moment),
            Message::Back(_) => self.shared.counters.expire(1),
            // Of a mail that was let go before the fleet stopped the last time: no news.
            Message::Refused(refusal) if refusal.episode < self.shared.episode() => {}
            Message::Refused(refusal) => {
                self.shared.close();
                self.drop_supply();
                self.refused = Some(refusal.after(self.refused.as_ref()));
                self.not_before = Instant::now();
            }
            Message::Unlearn(domain) => {
                if self.is_doubted(domain) && !self.unlearn.contains(&domain) {
                    self.unlearn.push(domain);
                    self.not_before = Instant::now();
                }
            }
            Message::Answered(episode) => {
                self.answered = Some(episode);
                self.not_before = Instant::now();
            }
            Message::Found(reply) => {
                self.found.push(reply);
                self.not_before = Instant::now();
            }
            Message::LookAgain => self.look_again = true,
            Message::Asked => {
                self.look_again = true;
                self.not_before = Instant::now();
            }
        }
    }

    /// Gives every moment that is due to a waiter: a timer is as coarse as a millisecond, and a fast rate has several in one.
    fn hand_out(&mut self, now: Instant) {
        self.shared.counters.expire(self.lease.drop_late(now));
        if self.refused.is_some() {
            return;
        }
        while !self.waiters.is_empty() {
            let free = self.shared.is_free(now);
            let moment = if free { None } else { self.lease.take_due(now) };
            if moment.is_none() && !free {
                return;
            }
            let Some(waiter) = self.waiters.pop_front() else { return };
            self.shared.counters.hand_out();
            // One that no longer waits gives it back as it is dropped.
            let _ = waiter.reply.send(Ok(self.shared.permit(moment)));
        }
    }

    /// Begins an exchange with the row when there is something to tell, or moments are wanted.
    fn begin(&mut self, now: Instant) -> Option<Exchange<S>> {
        let wanted = self.look_again || (self.lease.is_low(self.waiters.len()) && !self.shared.is_free(now));
        let due = now >= self.not_before && (self.has_news() || wanted);
        if !due && now < self.look_at {
            return None;
        }
        let mut store = self.store.take()?;
        self.look_at = now + LOOKED_AT_WHEN_IDLE;
        let ask = if !due {
            Ask::Look
        } else if let Some(refusal) = self.refused.clone() {
            Ask::Refused(refusal)
        } else if let Some(episode) = self.answered.take() {
            Ask::Answered(episode)
        } else if let Some(taken) = self.took.take() {
            Ask::Took(taken)
        } else if let Some(domain) = self.unlearn.pop() {
            Ask::Unlearn(domain)
        } else if let Some(reply) = self.found.pop() {
            Ask::Found(reply)
        } else {
            self.look_again = false;
            Ask::Lease(self.lease.next_size(now))
        };
        self.shared.counters.lease();
        let terms = self.terms;
        let exchange = async move {
            let asked = Instant::now();
            let answer = store.exchange(&ask, terms).await;
            (store, Exchanged { ask, asked, answered: Instant::now(), answer })
        };
        Some(exchange.boxed())
    }

    /// Is there something to tell the row?
    fn has_news(&self) -> bool {
        let told = self.unlearn.is_empty() && self.found.is_empty();
        self.refused.is_some() || self.answered.is_some() || self.took.is_some() || !told
    }

    /// Did the fleet learn from this domain's refusals, or is it about to?
    fn is_doubted(&self, domain: Domain) -> bool {
        let told = self.refused.as_ref().and_then(|refusal| refusal.domain);
        told == Some(domain) || self.doubted.contains(&domain)
    }

    /// When to look again without any news: at the next moment, or when the row may be asked again.
    fn next_wake(&self) -> Option<Instant> {
        let look = self.store.is_some().then_some(self.look_at);
        let told = self.has_news() || self.look_again;
        if self.waiters.is_empty() && !told {
            return look;
        }
        let due = if self.refused.is_none() && !self.waiters.is_empty() { self.lease.next_due() } else { None };
        let low = told || self.lease.is_low(self.waiters.len());
        // While it is free nobody waits.
        let retry = (low && self.store.is_some()).then_some(self.not_before);
        [due, retry, look].into_iter().flatten().min()
    }

    fn take_in(&mut self, exchanged: Exchanged) {
        let Exchanged { ask, asked, answered, answer } = exchanged;
        let Answer { grant, now, row } = match answer {
            Ok(answer) => answer,
            Err(down) => return self.without_the_row(&ask, answered, &down),
        };
        self.clock.learn(asked, answered, now);
        if matches!(ask, Ask::Refused(_)) {
            self.refused = None;
        }
        if row.learnt.episode > self.shared.episode() {
            self.drop_supply();
            if self.shared.was_free() && !matches!(ask, Ask::Refused(_)) {
                self.took = Some(self.shared.taken(answered));
            }
        }
        let terms = row.binding(self.terms);
        self.shared.learn(&row, terms, now);
        self.doubted = row.learnt.doubted().to_vec();
        self.news.tell(&row, terms, now);
        self.news.tell_ceiling(self.terms.ceiling, row.ceilings.binding(self.terms.ceiling));
        self.not_before = answered;
        match grant {
            Grant::Free => {
                self.shared.free_until(answered + self.free_for, answered + self.free_for / 2);
                self.free_for = (self.free_for * 2).min(FREE_FOR.1);
            }
            Grant::Moments { first, spacing, count, probe } => {
                self.close();
                let (spacing, episode) = (Duration::from_secs_f64(spacing), row.learnt.episode);
                match self.clock.moment(first) {
                    Some(at) => self.lease.add(count, Moment { at, spacing, episode, probe }),
                    // A time that no clock shows.
                    None => self.shared.counters.expire(count.into()),
                }
            }
            Grant::Unlearnt => {
                self.close();
                tracing::info!(
                    rate = row.in_force(terms).map(tracing::field::display),
                    "the fleet had slowed down for what is one domain's own limit: that is forgotten"
                );
            }
            Grant::NotBefore(then) => {
                self.close();
                if then > now {
                    self.lease.others_were_faster();
                    let then = self.clock.moment(then).unwrap_or(answered) + self.chance.random_range(JITTER);
                    let limit = if row.learnt.pauses() { LOOKED_AT.0 } else { LOOKED_AT.1.max(self.spacing() / 20) };
                    self.not_before = then.clamp(answered, answered + limit);
                }
            }
        }
    }

    fn spacing(&self) -> Duration {
        self.shared.in_force().borrow().map_or(Duration::ZERO, Rate::spacing)
    }

    fn close(&mut self) {
        self.free_for = FREE_FOR.0;
        self.shared.close();
    }

    fn drop_supply(&mut self) {
        self.shared.counters.expire(self.lease.clear());
    }

    fn without_the_row(&mut self, ask: &Ask, answered: Instant, down: &LedgerDown) {
        self.not_before = answered + AFTER_FAILURE;
        match ask {
            Ask::Answered(episode) => {
                self.answered.get_or_insert(*episode);
            }
            Ask::Unlearn(domain) => self.unlearn.push(*domain),
            Ask::Found(reply) => self.found.push(reply.clone()),
            _ => {}
        }
        // Those for whom moments are left wait on.
        let served = self.lease.len().min(self.waiters.len());
        for waiter in self.waiters.drain(served..) {
            // Whoever no longer waits needs no answer.
            let _ = waiter.reply.send(Err(down.clone()));
        }
    }
}
