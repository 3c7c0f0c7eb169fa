//! Does the server refuse everyone, or only some? Judged by domain, since anyone can bring a flood of tasks for one, or for
//! many that do not exist.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use contract::TaskId;

/// The server refuses everyone: open the circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany {
    /// Mails that it refused, one after the other.
    pub mails: usize,
    /// Their domains, the first of them.
    pub domains: Vec<String>,
}

/// Counts refusals that [tell of the server](super::tells_of_the_server), until a mail is accepted.
///
/// They weigh more at a domain that has taken mail before, or as long as none has: a receiver that never took any may just
/// not like us, or not be there. No domain counts more than [`EACH`](Self::EACH) times, so that it takes at least five.
///
/// Domains that refused one mail after the other until another one, which had refused none, took one, count no more: that
/// is their own matter, until they take a mail again.
#[derive(Debug, Clone)]
pub struct Everyone {
    took: Remembered,
    alone: Remembered,
    mails: Vec<TaskId>,
    domains: Vec<Refuser>,
    weight: usize,
}

/// A domain that refuses, since the last mail that was accepted.
#[derive(Debug, Clone)]
struct Refuser {
    domain: String,
    /// Mails that were refused.
    mails: u32,
    /// Of them, those that count towards the measure.
    counted: usize,
}

impl Everyone {
    /// How much is everyone: twenty mails at two each, or forty where the domains are new.
    pub const WEIGHT: usize = 40;
    /// Refusals that count of one domain.
    pub const EACH: usize = 4;
    /// Domains that are kept in mind of those that refuse; more than it takes.
    pub(crate) const DOMAINS: usize = 64;
    /// So many refusals are one after the other.
    const REPEATED: u32 = 2;
    /// Domains that are named.
    const NAMED: usize = 8;

    /// The server took a mail for this domain.
    pub fn accepted(&mut self, domain: &str) {
        self.took.insert(domain);
        self.alone.remove(domain);
        if !self.domains.iter().any(|refuser| refuser.domain == domain) {
            let repeated = self.domains.iter().filter(|refuser| refuser.mails >= Self::REPEATED);
            repeated.for_each(|refuser| self.alone.insert(&refuser.domain));
        }
        self.domains.clear();
        self.start_over();
    }

    /// The server refused this mail, and not for its address.
    ///
    /// # Errors
    /// [`TooMany`], with the mail that makes the measure full; it starts over then.
    pub fn refused(&mut self, mail: TaskId, domain: &str) -> Result<(), TooMany> {
        if self.mails.contains(&mail) || self.alone.contains(domain) {
            return Ok(());
        }
        let weighs = if self.took.is_empty() || self.took.contains(domain) { 2 } else { 1 };
        let Some(refuser) = self.refuser(domain) else { return Ok(()) };
        refuser.mails = refuser.mails.saturating_add(1);
        if refuser.counted >= Self::EACH {
            return Ok(());
        }
        refuser.counted += 1;
        self.mails.push(mail);
        self.weight += weighs;
        if self.weight < Self::WEIGHT {
            return Ok(());
        }
        let domains = self.domains.iter().take(Self::NAMED).map(|refuser| refuser.domain.clone()).collect();
        let too_many = TooMany { mails: self.mails.len(), domains };
        self.start_over();
        Err(too_many)
    }

    /// How much a mail for this domain would show, now that everyone is refused; the lowest first.
    pub fn rank(&self, domain: &str) -> u32 {
        let refused = self.alone.contains(domain) || self.domains.iter().any(|refuser| refuser.domain == domain);
        match (refused, self.took.contains(domain)) {
            (false, true) => 0,
            (false, false) => 1,
            (true, _) => 2,
        }
    }

    /// What is counted starts over; who refuses is kept in mind until a mail is accepted.
    fn start_over(&mut self) {
        self.mails.clear();
        self.weight = 0;
        for refuser in &mut self.domains {
            refuser.counted = 0;
        }
    }

    fn refuser(&mut self, domain: &str) -> Option<&mut Refuser> {
        let known = self.domains.iter().position(|refuser| refuser.domain == domain);
        if known.is_none() && self.domains.len() < Self::DOMAINS {
            self.domains.push(Refuser { domain: domain.to_owned(), mails: 0, counted: 0 });
            return self.domains.last_mut();
        }
        self.domains.get_mut(known?)
    }
}

impl Default for Everyone {
    fn default() -> Self {
        let (took, alone) = (Remembered::new(4_096), Remembered::new(4_096));
        Self { took, alone, mails: Vec::new(), domains: Vec::new(), weight: 0 }
    }
}

/// The last so many domains, as hashes: whoever chooses the domains can't choose how much is kept.
#[derive(Debug, Clone)]
struct Remembered {
    hasher: RandomState,
    limit: usize,
    now: HashSet<u64>,
    before: HashSet<u64>,
}

impl Remembered {
    fn new(limit: usize) -> Self {
        Self { hasher: RandomState::new(), limit, now: HashSet::new(), before: HashSet::new() }
    }

    fn insert(&mut self, domain: &str) {
        if self.now.len() >= self.limit {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(self.hasher.hash_one(domain));
    }

    fn remove(&mut self, domain: &str) {
        let hash = self.hasher.hash_one(domain);
        self.now.remove(&hash);
        self.before.remove(&hash);
    }

    fn contains(&self, domain: &str) -> bool {
        let hash = self.hasher.hash_one(domain);
        self.now.contains(&hash) || self.before.contains(&hash)
    }

    fn is_empty(&self) -> bool {
        self.now.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn id(n: usize) -> TaskId {
        TaskId::from(uuid::Uuid::from_u128(n as u128))
    }

    /// Refuses mails for these domains in turn; how many it takes until it speaks up, of `most`.
    fn refuse(everyone: &mut Everyone, domains: &[String], most: usize) -> Option<usize> {
        (0..most).find(|n| everyone.refused(id(*n), &domains[n % domains.len()]).is_err()).map(|n| n + 1)
    }

    fn domains(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("d{n}.example")).collect()
    }

    #[test]
    fn twenty_mails_at_five_domains_are_everyone() {
        for (count, expected) in [(1, None), (4, None), (5, Some(20)), (6, Some(20)), (20, Some(20)), (500, Some(20))] {
            assert_eq!(refuse(&mut Everyone::default(), &domains(count), 1_000), expected, "{count} domains");
        }
    }

    #[test]
    fn domains_that_took_mail_weigh_double_once_any_did() {
        let mut everyone = Everyone::default();
        everyone.accepted("d0.example");
        assert_eq!(refuse(&mut everyone, &domains(50)[1..], 1_000), Some(40), "new ones");
        let known = domains(50);
        known.iter().for_each(|domain| everyone.accepted(domain));
        assert_eq!(refuse(&mut everyone, &known, 1_000), Some(20), "known ones");
    }

    #[test]
    fn one_large_domain_does_not_make_up_for_others() {
        let mut everyone = Everyone::default();
        for n in 0..10_000 {
            let domain = if n % 100 == 0 { format!("d{}.example", n / 100 % 3) } else { "large.example".to_owned() };
            assert_eq!(everyone.refused(id(n), &domain), Ok(()), "mail {n}");
        }
    }

    #[test]
    fn one_mail_counts_once_and_an_accepted_one_starts_over() {
        let mut everyone = Everyone::default();
        for n in 0..100 {
            assert_eq!(everyone.refused(id(1), &format!("d{n}.example")), Ok(()));
        }
        assert_eq!(refuse(&mut everyone, &domains(30), 19), None);
        everyone.accepted("d3.example");
        assert_eq!(refuse(&mut everyone, &domains(30)[4..], 39), None);
    }

    #[test]
    fn it_says_how_many_and_whose() {
        let mut everyone = Everyone::default();
        let domains = domains(20);
        assert_eq!(refuse(&mut everyone, &domains, 19), None);
        let TooMany { mails, domains: named } = everyone.refused(id(19), &domains[19]).unwrap_err();
        assert_eq!((mails, named), (20, domains[..8].to_vec()));
    }

    #[test]
    fn a_domain_that_took_mail_and_has_not_refused_is_tried_first() {
        let mut everyone = Everyone::default();
        everyone.accepted("good.example");
        everyone.accepted("turned.example");
        for n in 0..80 {
            let _ = everyone.refused(id(n), ["turned.example", "bad.example"][n % 2]);
        }
        let ranks =
            ["good.example", "new.example", "turned.example", "bad.example"].map(|domain| everyone.rank(domain));
        assert_eq!(ranks, [0, 1, 2, 2]);
    }

    #[test]
    fn domains_that_refuse_on_while_another_takes_mail_are_not_everyone() {
        let twelve = domains(12);
        for (name, takes, refuses_after, expected) in [
            ("a good one", "good.example", 0, None),
            ("one of those that refused", "d3.example", 0, Some(37)),
            ("a good one, and then the refusers take mail as well", "good.example", 1, Some(20)),
        ] {
            let mut everyone = Everyone::default();
            assert_eq!(refuse(&mut everyone, &twelve, 1_000), Some(20), "{name}");
            assert_eq!(refuse(&mut everyone, &twelve, 19), None, "{name}");
            everyone.accepted(takes);
            if refuses_after > 0 {
                twelve.iter().for_each(|domain| everyone.accepted(domain));
            }
            assert_eq!(refuse(&mut everyone, &twelve, 1_000), expected, "{name}");
        }
    }

    /// Whatever comes, from however many domains: it speaks up only after twenty mails of five domains without one accepted,
    /// and keeps a bounded number of them.
    #[test]
    fn it_never_speaks_up_for_less_and_keeps_no_more() {
        for seed in 0..50 {
            let mut random = StdRng::seed_from_u64(seed);
            let (spread, good) = (random.random_range(1..2_000), random.random_range(0.0..0.2));
            let mut everyone = Everyone::default();
            let mut since: Vec<(usize, String)> = Vec::new();
            for step in 0..5_000 {
                let domain = format!("d{}.example", random.random_range(0..spread));
                if random.random_bool(good) {
                    everyone.accepted(&domain);
                    since.clear();
                } else {
                    since.push((step, domain.clone()));
                    if everyone.refused(id(step), &domain).is_err() {
                        let different: HashSet<_> = since.iter().map(|(_, domain)| domain).collect();
                        assert!(since.len() >= 20 && different.len() >= 5, "seed {seed}, step {step}: {}", since.len());
                        since.clear();
                    }
                }
                assert!(everyone.domains.len() <= Everyone::DOMAINS && everyone.mails.len() <= Everyone::WEIGHT);
                assert!(everyone.took.now.len() <= 4_096 && everyone.took.before.len() <= 4_096);
                assert!(everyone.alone.now.len() <= 4_096 && everyone.alone.before.len() <= 4_096);
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest() {
        let mut remembered = Remembered::new(10);
        (0..1_000).for_each(|n| remembered.insert(&n.to_string()));
        assert!(remembered.now.len() + remembered.before.len() <= 20);
        assert!((990..1_000).all(|n| remembered.contains(&n.to_string())));
        assert!(!remembered.contains("0"));
    }
}
