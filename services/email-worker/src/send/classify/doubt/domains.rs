//! Refused for the speed at one domain, while all others take: that domain's own limit, and not our account's. No I/O.
//!
//! The words do not tell ("too many messages" may be said by a receiver, and passed on by the server that relays to it).
//! The numbers do: a limit of the account meets whichever mail comes, one of a domain meets that domain's alone.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// How long is believed what was found.
const BELIEVED_FOR: Duration = Duration::from_secs(600);
/// So many answers are compared, and none older than this.
const COMPARED: (usize, Duration) = (256, Duration::from_secs(300));
/// With fewer answers than this, nobody knows anything yet.
const FEW: u32 = 20;
/// So many refusals at one domain at least.
const ENOUGH: u32 = 5;
/// So many refusals of which nobody knows yet, as long as answers are compared: then they count as the account's.
const WAITED_FOR: usize = 20;
/// If others were refused alike, so many of their mails should have been: then their number tells, and then it may soon.
const EXPECTED: (f64, f64) = (9.0, 1.0);
/// Where more than this share of that was, they are.
const ALIKE: f64 = 0.25;
/// Domains with a limit of their own that are kept.
const KEPT: usize = 64;

/// Whose limit a refusal for the speed speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The domain's own.
    Domain,
    /// Our account's, or nobody else is there to compare with.
    Account,
    /// A few answers more will tell.
    Unknown,
}

/// The last answers by domain. Domains are kept as hashes: whoever chooses them can't choose how much is kept.
#[derive(Debug, Default)]
pub(super) struct Domains {
    hasher: RandomState,
    answers: VecDeque<Answer>,
    limited: VecDeque<(u64, Instant)>,
    unknown: VecDeque<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    domain: u64,
    taken: bool,
    at: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    taken: u32,
    refused: u32,
}

impl Domains {
    /// A mail to this domain was taken.
    pub(super) fn taken(&mut self, domain: &str, now: Instant) {
        self.answer(domain, true, now);
    }

    /// A mail to this domain was refused for the speed.
    pub(super) fn refused(&mut self, domain: &str, now: Instant) -> Whose {
        let domain = self.answer(domain, false, now);
        self.limited.retain(|(_, until)| now < *until);
        self.unknown.retain(|at| now < *at + COMPARED.1);
        if self.limited.iter().any(|(known, _)| *known == domain) {
            return Whose::Domain;
        }
        let mut tallies = self.tallies(now);
        let own = tallies.remove(&domain).unwrap_or_default();
        let whose = whose(own, tallies.into_values());
        match whose {
            Whose::Unknown if self.unknown.len() >= WAITED_FOR => return Whose::Account,
            Whose::Unknown => self.unknown.push_back(now),
            Whose::Domain => keep(&mut self.limited, (domain, now + BELIEVED_FOR), KEPT),
            Whose::Account => {}
        }
        whose
    }

    /// Whose limit it is as far as is known without this refusal.
    pub(super) fn known(&self, domain: &str, now: Instant) -> Whose {
        let domain = self.hasher.hash_one(domain);
        let is_own = self.limited.iter().any(|(known, until)| *known == domain && now < *until);
        if is_own { Whose::Domain } else { Whose::Unknown }
    }

    fn answer(&mut self, domain: &str, taken: bool, now: Instant) -> u64 {
        let domain = self.hasher.hash_one(domain);
        keep(&mut self.answers, Answer { domain, taken, at: now }, COMPARED.0);
        domain
    }

    fn tallies(&self, now: Instant) -> HashMap<u64, Tally> {
        let mut tallies = HashMap::<u64, Tally>::new();
        for answer in self.answers.iter().filter(|answer| now < answer.at + COMPARED.1) {
            let tally = tallies.entry(answer.domain).or_default();
            *if answer.taken { &mut tally.taken } else { &mut tally.refused } += 1;
        }
        tallies
    }
}

fn keep<T>(kept: &mut VecDeque<T>, one: T, most: usize) {
    if kept.len() == most {
        kept.pop_front();
    }
    kept.push_back(one);
}

/// A domain that was just refused, and each of the others.
///
/// A limit of the account is everyone's: one other domain that goes on without refusals, where there should have been some,
/// shows that it is none. Domains with few mails tell together.
fn whose(domain: Tally, others: impl Iterator<Item = Tally>) -> Whose {
    let others: Vec<_> = others.collect();
    let answers: u32 = others.iter().chain([&domain]).map(|tally| tally.taken + tally.refused).sum();
    if answers < FEW {
        return Whose::Unknown;
    }
    let share = f64::from(domain.refused) / f64::from(domain.taken + domain.refused + 1);
    let expected = |other: &Tally| f64::from(other.taken + other.refused) * share;
    let (many, few): (Vec<_>, Vec<_>) = others.into_iter().partition(|other| expected(other) >= EXPECTED.0);
    let few = few.into_iter().fold(Tally::default(), |sum, other| Tally {
        taken: sum.taken + other.taken,
        refused: sum.refused + other.refused,
    });
    let goes_on = |least: f64, sigmas: f64| {
        many.iter().chain([&few]).any(|other| {
            let expected = expected(other);
            let most = (expected * ALIKE).min(expected - sigmas * expected.sqrt());
            expected >= least && f64::from(other.refused) <= most
        })
    };
    if domain.refused >= ENOUGH && goes_on(EXPECTED.0, 3.0) {
        Whose::Domain
    } else if goes_on(EXPECTED.1, 0.0) {
        Whose::Unknown
    } else {
        Whose::Account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn tally((taken, refused): (u32, u32)) -> Tally {
        Tally { taken, refused }
    }

    #[test]
    fn a_domain_that_alone_refuses_has_a_limit_of_its_own() {
        let singles = |taken: usize, refused: usize| [vec![(1, 0); taken], vec![(0, 1); refused]].concat();
        for (name, domain, others, expected) in [
            ("one in five, and none is taken", (0, 6), vec![(24, 0)], Whose::Domain),
            ("some of its own are taken", (10, 20), vec![(100, 0)], Whose::Domain),
            ("another one refuses as well, and the rest does not", (0, 6), vec![(0, 20), (30, 0)], Whose::Domain),
            ("the rest are many small ones", (0, 6), singles(30, 2), Whose::Domain),
            ("too few to tell", (0, 4), vec![(100, 0)], Whose::Unknown),
            ("others are few as yet", (5, 5), vec![(8, 0)], Whose::Unknown),
            ("others are few, and one of their mails was refused", (0, 8), vec![(11, 1)], Whose::Unknown),
            ("the first refusal of all", (0, 1), vec![(1, 0)], Whose::Unknown),
            ("nobody else to compare with", (0, 20), vec![], Whose::Account),
            ("others are refused as well", (10, 20), vec![(100, 50)], Whose::Account),
            ("others are refused as well, and less so", (10, 20), vec![(70, 30)], Whose::Account),
            ("all of them are refused for the first time", (9, 1), vec![(9, 1), (9, 1), (9, 1)], Whose::Account),
            ("nearly all mails are its own", (200, 4), vec![(20, 0)], Whose::Account),
            ("each mail has a domain of its own", (0, 1), singles(80, 20), Whose::Account),
        ] {
            assert_eq!(whose(tally(domain), others.into_iter().map(tally)), expected, "{name}");
        }
    }

    #[test]
    fn what_a_domain_took_before_its_first_refusal_is_its_own() {
        let (mut domains, now) = (Domains::default(), Instant::now());
        (0..100).for_each(|_| domains.taken("slow.example", now));
        for n in 0..20 {
            assert_eq!(domains.refused("slow.example", now), Whose::Account, "refusal {n}");
        }
    }

    #[test]
    fn what_was_found_holds_for_a_while() {
        let (mut domains, began) = (Domains::default(), Instant::now());
        (0..100).for_each(|_| domains.taken("good.example", began));
        let last = (0..ENOUGH).map(|_| domains.refused("slow.example", began)).last();
        assert_eq!(last, Some(Whose::Domain));
        assert_eq!(domains.refused("slow.example", began + BELIEVED_FOR / 2), Whose::Domain);
        assert_ne!(domains.refused("other.example", began), Whose::Domain);
        assert_ne!(domains.refused("slow.example", began + BELIEVED_FOR), Whose::Domain);
    }

    #[test]
    fn what_a_domain_answers_while_nobody_else_is_asked_tells_nothing() {
        let (mut domains, now) = (Domains::default(), Instant::now());
        (0..100).for_each(|_| domains.taken("good.example", now));
        for _ in 0..ENOUGH {
            assert_eq!(domains.known("slow.example", now), Whose::Unknown);
        }
        assert_eq!(domains.refused("slow.example", now), Whose::Unknown, "the first that counts");
        let last = (1..ENOUGH).map(|_| domains.refused("slow.example", now)).last();
        assert_eq!((last, domains.known("slow.example", now)), (Some(Whose::Domain), Whose::Domain));
        assert_eq!(domains.known("slow.example", now + BELIEVED_FOR), Whose::Unknown);
    }

    #[test]
    fn old_answers_are_compared_with_nothing() {
        let (mut domains, began) = (Domains::default(), Instant::now());
        (0..100).for_each(|_| domains.taken("good.example", began));
        (0..10).for_each(|_| domains.taken("slow.example", began + COMPARED.1 - SECOND));
        assert_eq!(domains.refused("slow.example", began + COMPARED.1 - SECOND), Whose::Unknown);
        (0..10).for_each(|_| domains.taken("slow.example", began + COMPARED.1));
        assert_eq!(domains.refused("slow.example", began + COMPARED.1), Whose::Account);
    }

    /// Of a limit that meets one mail in twenty, where each has a domain of its own.
    #[test]
    fn nobody_waits_for_ever_to_know_whose_limit_it_is() {
        let (mut domains, now) = (Domains::default(), Instant::now());
        let mut whose = Vec::new();
        for n in 0..100 {
            (0..19).for_each(|m| domains.taken(&format!("d{n}-{m}.example"), now));
            whose.push(domains.refused(&format!("d{n}.example"), now));
        }
        assert_eq!(whose.iter().filter(|whose| **whose == Whose::Unknown).count(), WAITED_FOR);
        assert_eq!(whose.last(), Some(&Whose::Account));
        let later = now + COMPARED.1;
        (0..19).for_each(|m| domains.taken(&format!("later-{m}.example"), later));
        assert_eq!(domains.refused("later.example", later), Whose::Unknown, "those waits are long over");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut domains, now) = (Domains::default(), Instant::now());
        for n in 0..1_000 {
            (0..50).for_each(|_| domains.taken("good.example", now));
            for _ in 0..ENOUGH {
                domains.refused(&format!("d{n}.example"), now);
            }
        }
        assert_eq!((domains.answers.len(), domains.limited.len()), (COMPARED.0, KEPT));
        assert!(domains.unknown.len() <= WAITED_FOR);
    }
}
