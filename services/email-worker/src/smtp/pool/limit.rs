//! How many connections the mail server takes of us, learnt from what it refuses.
//!
//! The decision alone: events and moments go in, nothing is waited for. Nobody is asked how many there may be, since other
//! workers, and others with the same account, come and go: each worker backs off by itself, and tries again.

use std::time::Duration;

use tokio::time::Instant;

/// So many are opened before the server has shown that it takes them.
const AT_FIRST: usize = 2;

/// From a refusal to the next try: this long at first, twice as long after each try that is refused.
const TRY_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// What was found is told when nothing else was for so long: many connections are refused at once.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Where connections are short, one is given up so often, and left to others until the next try.
const LEND_EVERY: Duration = Duration::from_secs(60);

/// Counts connections, and says whether another one may be opened.
///
/// A mail holds a *place* from the moment when it may talk to the server: the right to one connection, whether it stands
/// already or is still to be opened.
#[derive(Debug)]
pub(super) struct Limit {
    ceiling: usize,
    allowed: usize,
    held: usize,
    // Connections that no mail holds, those that are being closed among them.
    idle: usize,
    opening: usize,
    standing: usize,
    learnt: Option<Learnt>,
    suspected: Option<Suspicion>,
    // Counts suspicions: what began before one does not confirm it.
    round: u64,
    // When something was found last that was not told yet; and what was told.
    found: Option<Instant>,
    told: Option<usize>,
}

/// One was refused without a word about the number. Where a mail then goes over one that stands, it was for the number; a
/// server that is away takes no mails either.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    stood: usize,
    // A mail was refused, over a connection that the server had opened: that it opens another one shows nothing.
    of_a_mail: bool,
}

/// A change to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The server takes so many.
    Takes(usize),
    /// It takes as many as there may be here.
    TakesAll,
}

/// What is known once the server has refused a connection.
#[derive(Debug, Clone, Copy)]
struct Learnt {
    next_try: Instant,
    wait: Duration,
    // One mail is trying whether one more is taken.
    trying: bool,
    // One is left to others.
    lent: bool,
    lend_at: Instant,
}

/// The right to one connection. Whoever has it gives it back with [`Limit::give_back`].
#[derive(Debug)]
pub(super) struct Place {
    // It is one more than the server is known to take.
    trial: bool,
    // Its connection is to show whether the server takes any.
    probe: bool,
    // Suspicions before it was taken.
    round: u64,
}

/// What a refused connection means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Others stand, or are about to: wait for one of them.
    OthersStand,
    /// The server takes none at all.
    Alone,
}

impl Limit {
    /// Up to `ceiling` connections, none so far.
    pub(super) fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        let allowed = AT_FIRST.min(ceiling);
        Self {
            ceiling,
            allowed,
            held: 0,
            idle: 0,
            opening: 0,
            standing: 0,
            learnt: None,
            suspected: None,
            round: 0,
            found: None,
            told: None,
        }
    }

    /// How many stand.
    pub(super) fn standing(&self) -> usize {
        self.standing
    }

    /// How many there may be at the moment.
    pub(super) fn allowed(&self) -> usize {
        self.allowed
    }

    /// How many the server takes, if it has ever refused one.
    pub(super) fn learnt(&self) -> Option<usize> {
        self.learnt.map(|_| self.allowed)
    }

    /// A mail takes a connection that nobody holds.
    pub(super) fn take_idle(&mut self) -> Place {
        self.idle -= 1;
        self.held += 1;
        Place { trial: false, probe: false, round: self.round }
    }

    /// A mail that has a place takes a connection that nobody holds, rather than to open one.
    pub(super) fn adopt_idle(&mut self) {
        self.idle -= 1;
    }

    /// A mail wants a place without a connection.
    pub(super) fn take(&mut self, now: Instant) -> Option<Place> {
        let trial = self.held + self.idle >= self.bound();
        if trial {
            let may_try = self.next_try().is_some_and(|at| at <= now);
            let learnt = self.learnt.as_mut().filter(|_| may_try)?;
            learnt.trying = true;
        }
        self.held += 1;
        Some(Place { trial, probe: false, round: self.round })
    }

    /// The probe takes a place, whatever others hold.
    pub(super) fn take_to_probe(&mut self) -> Place {
        self.held += 1;
        Place { trial: false, probe: true, round: self.round }
    }

    /// When [`take`](Self::take) may succeed though nobody gave anything back.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let room = self.held + self.idle < self.ceiling;
        self.learnt.filter(|learnt| room && !learnt.trying).map(|learnt| learnt.next_try)
    }

    /// A place's connection is to be opened: may it? The limit may have been lowered since.
    pub(super) fn open(&mut self, place: &Place) -> bool {
        let may = place.trial || place.probe || self.standing + self.opening < self.bound();
        self.opening += usize::from(may);
        may
    }

    /// It was opened. `wanted`: others wait for one.
    pub(super) fn opened(&mut self, wanted: bool, now: Instant) {
        self.opening -= 1;
        self.standing += 1;
        self.suspected.take_if(|suspected| !suspected.of_a_mail);
        // Those that were under way while others were refused; one that is tried is not counted yet.
        let proven = self.standing - usize::from(self.learnt.is_some_and(|learnt| learnt.trying));
        self.allowed = self.allowed.max(proven.min(self.ceiling));
        if let Some(learnt) = self.learnt.as_mut().filter(|_| self.standing == 1) {
            // It takes connections again: how many it may be is no longer known.
            (learnt.next_try, learnt.wait) = (now, TRY_AFTER.0);
        }
        self.grow(wanted);
    }

    /// It was not opened, which says nothing about the number.
    pub(super) fn not_opened(&mut self) {
        self.opening -= 1;
    }

    /// It was refused. `explicit`: the server spoke of too many; otherwise those that stand will show what it meant.
    pub(super) fn refused(&mut self, place: &mut Place, explicit: bool, now: Instant) -> Refusal {
        self.opening -= 1;
        self.one_less(place, explicit, false, now)
    }

    /// A connection that stood was refused a mail for their number; it is closed now. `explicit` as in
    /// [`refused`](Self::refused).
    pub(super) fn turned_away(&mut self, place: &mut Place, explicit: bool, now: Instant) -> Refusal {
        self.standing -= 1;
        self.one_less(place, explicit, true, now)
    }

    fn one_less(&mut self, place: &mut Place, explicit: bool, of_a_mail: bool, now: Instant) -> Refusal {
        let others = self.standing + self.opening > 0;
        match (explicit, others) {
            (true, _) => self.lower(Some(place), self.standing, now),
            (false, true) => self.suspect(place, of_a_mail, now),
            (false, false) => {
                // An outage: begin as after a start.
                self.suspected = None;
                self.allowed = AT_FIRST.min(self.ceiling);
            }
        }
        if others { Refusal::OthersStand } else { Refusal::Alone }
    }

    /// A mail was accepted over a place's connection. `wanted`: others wait for one.
    pub(super) fn accepted(&mut self, place: &mut Place, wanted: bool, now: Instant) {
        if std::mem::take(&mut place.trial) {
            self.tried(now);
        }
        if place.round == self.round
            && let Some(Suspicion { stood, .. }) = self.suspected.take()
        {
            self.lower(None, stood, now);
        }
        self.grow(wanted);
    }

    /// A place's connection is closed.
    pub(super) fn closed(&mut self) {
        self.standing -= 1;
    }

    /// So many of those that nobody holds are closed.
    pub(super) fn idle_closed(&mut self, count: usize) {
        self.idle -= count;
        self.standing -= count;
    }

    /// A mail is done with its place. True: its connection, if it has one, is to be closed and left to others.
    pub(super) fn give_back(&mut self, place: Place, connected: bool, wanted: bool, now: Instant) -> bool {
        self.held -= 1;
        self.idle += usize::from(connected);
        if place.trial && connected {
            self.tried(now);
        } else if place.trial
            && let Some(learnt) = &mut self.learnt
        {
            (learnt.trying, learnt.next_try) = (false, now + TRY_AFTER.0);
        }
        let (shareable, allowed) = (connected && wanted && self.standing > 1, self.allowed);
        let lending = |learnt: &&mut Learnt| shareable && allowed > 1 && !learnt.trying && !learnt.lent;
        match self.learnt.as_mut().filter(lending) {
            Some(learnt) if learnt.lend_at <= now => {
                learnt.lent = true;
                learnt.lend_at = now + LEND_EVERY;
                learnt.next_try = now + TRY_AFTER.0;
                true
            }
            _ => false,
        }
    }

    fn bound(&self) -> usize {
        let lent = self.learnt.is_some_and(|learnt| learnt.lent);
        let most = self.suspected.map_or(self.allowed, |suspected| suspected.stood.min(self.allowed));
        most.saturating_sub(usize::from(lent)).max(1)
    }

    /// Once a connection was refused, only a try makes it more.
    fn grow(&mut self, wanted: bool) {
        if wanted && self.learnt.is_none() && self.allowed < self.ceiling {
            self.allowed += 1;
        }
    }

    /// Nobody knows yet what it was for: as many as stand until that is clear. A try has failed in any case.
    fn suspect(&mut self, place: &mut Place, of_a_mail: bool, now: Instant) {
        // A mail that began after the first of several refusals shows what they were for: they need not end before it does.
        self.round += u64::from(self.suspected.is_none());
        let of_a_mail = of_a_mail || self.suspected.is_some_and(|suspected| suspected.of_a_mail);
        self.suspected = Some(Suspicion { stood: self.standing.clamp(1, self.ceiling), of_a_mail });
        if std::mem::take(&mut place.trial)
            && let Some(learnt) = &mut self.learnt
        {
            (learnt.trying, learnt.next_try) = (false, now + learnt.wait);
            learnt.wait = (learnt.wait * 2).min(TRY_AFTER.1);
        }
    }

    /// What is to be told by now.
    pub(super) fn news(&mut self, now: Instant) -> Option<News> {
        self.found.take_if(|found| now >= *found + SETTLED_AFTER)?;
        let learnt = self.learnt();
        if learnt == self.told {
            return None;
        }
        self.told = learnt;
        Some(learnt.map_or(News::TakesAll, News::Takes))
    }

    /// So many as stood, and no more for a while. `place`: whose connection is one too many.
    fn lower(&mut self, place: Option<&mut Place>, stood: usize, now: Instant) {
        self.allowed = stood.clamp(1, self.ceiling);
        self.suspected = None;
        self.found = Some(now);
        let trial = place.is_some_and(|place| std::mem::take(&mut place.trial));
        let before = self.learnt;
        let wait = before.filter(|_| trial).map_or(TRY_AFTER.0, |learnt| learnt.wait);
        self.learnt = Some(Learnt {
            next_try: now + wait,
            wait: (wait * 2).min(TRY_AFTER.1),
            trying: before.is_some_and(|learnt| learnt.trying && !trial),
            lent: false,
            lend_at: before.map_or(now + LEND_EVERY, |learnt| learnt.lend_at),
        });
    }

    /// One more was taken: the next may be tried at once.
    fn tried(&mut self, now: Instant) {
        let Some(learnt) = &mut self.learnt else { return };
        if !std::mem::take(&mut learnt.lent) {
            self.allowed = (self.allowed + 1).min(self.ceiling);
        }
        (learnt.trying, learnt.next_try, learnt.wait) = (false, now, TRY_AFTER.0);
        if self.allowed == self.ceiling {
            self.learnt = None;
            self.found = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
