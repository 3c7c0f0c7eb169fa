//! Which domains refuse most of our mails, as figures of the last hour. No I/O, no clock.
//!
//! A metric with a label for every domain would grow with everybody who ever registered. So there are a few domains at
//! any moment, those with most refusals, and one figure for all others: why so, decision 35 in `docs/decisions`.

use std::time::Duration;

use tokio::time::Instant;

/// Domains that have a figure of their own at most ..
pub(super) const NAMED: usize = 20;
/// .. each with so many refusals at least: one mistyped address names nobody.
const ENOUGH: u64 = 5;
/// Domains that are kept in mind, so that one that begins to refuse is seen to.
const KNOWN: usize = 128;
/// An hour, in parts.
const PARTS: usize = 6;
const PART: Duration = Duration::from_secs(600);

/// Refusals of the last hour, by domain.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    // What parts of hours are counted from.
    began: Option<Instant>,
    domains: Vec<Domain>,
    others: Hour,
}

/// What is told of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Domains and their refusals, that with most first.
    pub(super) named: Vec<(String, u64)>,
    /// Those of all others.
    pub(super) others: u64,
}

#[derive(Debug)]
struct Domain {
    name: String,
    refusals: Hour,
    last: Instant,
}

/// Refusals by part of the hour.
#[derive(Debug, Clone, Copy, Default)]
struct Hour {
    counts: [u64; PARTS],
    // The part that was counted in last.
    part: u64,
}

impl Hour {
    /// Forgets what is older than an hour in this part.
    fn advance(&mut self, part: u64) {
        for passed in (self.part + 1..=part).rev().take(PARTS) {
            self.counts[place(passed)] = 0;
        }
        self.part = self.part.max(part);
    }

    fn add(&mut self, part: u64) {
        self.advance(part);
        self.counts[place(part)] += 1;
    }

    /// Takes what was counted for another one. Both are advanced to the same part.
    fn absorb(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }

    fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }
}

fn place(part: u64) -> usize {
    usize::try_from(part % PARTS as u64).unwrap_or_default()
}

impl Ranking {
    /// This domain refused a mail.
    pub(super) fn refused(&mut self, name: &str, now: Instant) {
        let part = self.advance(now);
        let at = self.domains.iter().position(|domain| domain.name == name).unwrap_or_else(|| {
            if self.domains.len() >= KNOWN {
                self.make_room();
            }
            self.domains.push(Domain { name: name.to_owned(), refusals: Hour { part, ..Hour::default() }, last: now });
            self.domains.len() - 1
        });
        if let Some(domain) = self.domains.get_mut(at) {
            domain.refusals.add(part);
            domain.last = now;
        }
    }

    /// The figures as of now.
    pub(super) fn told(&mut self, now: Instant) -> Told {
        self.advance(now);
        let mut named: Vec<(String, u64)> =
            self.domains.iter().map(|domain| (domain.name.clone(), domain.refusals.sum())).collect();
        named.sort_unstable_by(|(name, refusals), (other, others)| others.cmp(refusals).then_with(|| name.cmp(other)));
        let own = named.iter().take(NAMED).take_while(|(_, refusals)| *refusals >= ENOUGH).count();
        let rest: u64 = named.drain(own..).map(|(_, refusals)| refusals).sum();
        Told { named, others: self.others.sum() + rest }
    }

    /// Forgets what is older than an hour; the part of the hour that it is now.
    fn advance(&mut self, now: Instant) -> u64 {
        let began = *self.began.get_or_insert(now);
        let part = now.saturating_duration_since(began).as_secs() / PART.as_secs();
        self.others.advance(part);
        for domain in &mut self.domains {
            domain.refusals.advance(part);
        }
        self.domains.retain(|domain| domain.refusals.sum() > 0);
        part
    }

    /// The one that refused least, and of these the one that was quiet the longest, is one of the others from here on.
    fn make_room(&mut self) {
        let least = self.domains.iter().enumerate().min_by_key(|(_, domain)| (domain.refusals.sum(), domain.last));
        if let Some((at, _)) = least {
            let domain = self.domains.swap_remove(at);
            self.others.absorb(&domain.refusals);
        }
    }
}

#[cfg(test)]
mod tests;
