//! The fleet's row: where the next free moment is, and what the mail server was found to bear. No I/O, no clock.
//!
//! Every order of leases, delays and crashes is checked in `tests/models/src/rate.rs`; fleets of all sizes against servers
//! of all kinds in `simulation`.

use super::ceilings::Ceilings;
use super::learnt::{Domain, Learnt, Leave, Refusal, Seconds, Taken};
use super::pace::{Ceiling, Rate};

/// Moments are leased at most so far ahead: four of them, but neither less nor more than this. What is leased is what goes on
/// for a while when the server says no to another worker.
const AHEAD: (f64, Seconds, Seconds) = (4.0, 0.2, 1.0);
/// A lease is at most so much of the rate, so that no worker sits on moments that another could use.
const LONGEST_LEASE: Seconds = 0.05;
/// Further ahead than any lease reaches: the database's clock was set back.
const IMPOSSIBLE: Seconds = 5.0;

/// The row, its moments in seconds by the database's clock.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Row {
    /// One spacing after the last moment that was leased.
    pub(super) next_free: Seconds,
    /// That spacing: a fleet whose rate rises does not wait for the old one to pass.
    pub(super) spacing: Seconds,
    /// What the fleet learnt.
    pub(super) learnt: Learnt,
    /// What its workers were told.
    pub(super) ceilings: Ceilings,
    /// What an operator asked for instead; it stands elsewhere, and is never written.
    pub(super) asked: Option<Ceiling>,
}

/// What a worker asks of the row.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    /// So many moments.
    Lease(u32),
    /// The server said no to the speed.
    Refused(Refusal),
    /// The server answered the probe of this episode.
    Answered(i64),
    /// What this domain's refusals spoke of is its own limit.
    Unlearn(Domain),
    /// This reply, which does not say why, was found to speak of speed.
    Found(String),
    /// Another worker was refused; this one got through so much before.
    Took(Taken),
    /// Nothing: this worker is there, and looks.
    Look,
}

/// What a worker gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Grant {
    /// As many as it likes, for now.
    Free,
    /// Evenly spaced moments.
    Moments { first: Seconds, spacing: Seconds, count: u32, probe: bool },
    /// None before then.
    NotBefore(Seconds),
    /// What was learnt is gone: look again.
    Unlearnt,
}

/// What binds the fleet beside what it learnt: as a worker was told, or as the row has it of all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Terms {
    pub(super) ceiling: Option<Rate>,
    /// Does it learn?
    pub(super) adapts: bool,
}

impl Row {
    /// What binds a worker that was told `own`: what an operator asked for, or else the lowest ceiling of all.
    pub(super) fn binding(&self, own: Terms) -> Terms {
        let ceiling = match self.asked {
            Some(asked) => asked.rate(),
            None => self.ceilings.binding(own.ceiling),
        };
        Terms { ceiling, ..own }
    }

    /// The rate that the fleet keeps to, if it does to any, by the terms that bind it.
    pub(super) fn in_force(&self, terms: Terms) -> Option<Rate> {
        let learnt = if terms.adapts { self.learnt.rate().map(Rate::per_second) } else { None };
        match (learnt, terms.ceiling) {
            (Some(learnt), Some(ceiling)) => Some(if learnt < ceiling { learnt } else { ceiling }),
            (learnt, ceiling) => learnt.or(ceiling),
        }
    }

    /// Does what a worker asks that was told `own`, at `now`.
    pub(super) fn apply(&mut self, ask: &Ask, now: Seconds, own: Terms) -> Grant {
        self.ceilings.said(own.ceiling, now);
        let terms = self.binding(own);
        let ceiling = terms.ceiling.map(Rate::mails_per_second);
        match ask {
            Ask::Lease(wanted) => self.lease(*wanted, now, ceiling, terms.adapts),
            Ask::Refused(refusal) => {
                if terms.adapts {
                    self.learnt.refused(now, refusal, ceiling);
                }
                Grant::NotBefore(now)
            }
            Ask::Found(reply) => {
                self.learnt.found.add(reply, now);
                Grant::NotBefore(now)
            }
            Ask::Took(taken) => {
                self.learnt.took(now, *taken);
                Grant::NotBefore(now)
            }
            Ask::Answered(episode) => {
                self.learnt.answered(now, *episode);
                Grant::NotBefore(now)
            }
            Ask::Unlearn(domain) if self.learnt.unlearn(now, *domain) => Grant::Unlearnt,
            Ask::Unlearn(_) | Ask::Look => Grant::NotBefore(now),
        }
    }

    fn lease(&mut self, wanted: u32, now: Seconds, ceiling: Option<f64>, adapts: bool) -> Grant {
        let leave = if adapts { self.learnt.leave(now) } else { Leave::Free };
        let (rate, probe) = match (leave, ceiling) {
            (Leave::NotBefore(then), _) => return Grant::NotBefore(then),
            (Leave::Free, None) => return Grant::Free,
            (Leave::Free, Some(ceiling)) => (ceiling, false),
            (Leave::At(rate), ceiling) => (rate.min(ceiling.unwrap_or(rate)), false),
            (Leave::Probe(rate), ceiling) => (rate.min(ceiling.unwrap_or(rate)), true),
        };
        let spacing = 1.0 / rate;
        let due = self.next_free - self.spacing + spacing;
        let due = if self.next_free - self.spacing > now + IMPOSSIBLE { now } else { due };
        let ahead = (AHEAD.0 * spacing).clamp(AHEAD.1, AHEAD.2);
        if due > now + ahead {
            return Grant::NotBefore(due - ahead);
        }
        let first = due.max(now);
        let count = if probe { 1 } else { wanted.clamp(1, longest_lease(rate)) };
        self.next_free = first + spacing * f64::from(count);
        self.spacing = spacing;
        if probe {
            self.learnt.probing(first);
        } else {
            // Under a ceiling that binds before what was learnt, nothing new is learnt about what the server bears.
            let learning = ceiling.is_none_or(|ceiling| rate < ceiling);
            self.learnt.leased(now, count, due > now && learning);
        }
        Grant::Moments { first, spacing, count, probe }
    }
}

/// How many moments a lease may have at this rate.
pub(super) fn longest_lease(rate: f64) -> u32 {
    // At most a twentieth of the highest rate.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let most = (rate * LONGEST_LEASE) as u32;
    most.max(1)
}

#[cfg(test)]
mod tests;
