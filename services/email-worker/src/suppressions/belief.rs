//! When a refusal is believed that says there is nobody of the address.
//!
//! A server whose directory is away says so of everyone, and whoever believed it would keep mails from real people for
//! months. So such a refusal waits. It is believed when the same domain has taken a mail for somebody else shortly before
//! it, takes another one shortly after it, and refused only a few in a row in between. Of a domain that the server does
//! not know at all nothing can be taken: there the mails for all other domains count.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Bounce;
use super::keys::AddressHash;
use crate::send::classify::Reason;

/// What is shortly before, and after.
const NEAR: Duration = Duration::from_secs(15 * 60);
/// More in a row are the domain's trouble, or a flood of addresses that were made up.
const IN_A_ROW: usize = 4;
/// Refusals of one domain that may wait; conversations beside each other end in any order.
const WAITING: usize = 64;
/// Domains that are kept in mind. Beyond them nothing is remembered.
const DOMAINS: usize = 4096;

/// What the domains' answers showed lately.
#[derive(Debug, Default)]
pub(super) struct Belief {
    domains: HashMap<String, Run>,
    /// Refusals for a domain that the server does not know, and what it took for all the others.
    systems: Run,
    /// When it makes sense to look for domains that can be forgotten.
    sweep: Option<Instant>,
}

/// What one domain takes and refuses.
#[derive(Debug, Default)]
struct Run {
    /// When it took a mail last.
    taken: Option<Instant>,
    /// Refusals since then.
    in_a_row: usize,
    waiting: Vec<(Instant, Bounce)>,
}

impl Belief {
    /// A mail was refused for its address.
    pub(super) fn refused(&mut self, domain: &str, bounce: Bounce, now: Instant) {
        if bounce.unknown.reason == Reason::HostUnknown {
            self.systems.refused(bounce, now);
        } else if let Some(run) = self.domains.get_mut(domain) {
            run.refused(bounce, now);
        }
    }

    /// A mail was taken, in a conversation that began then. Returns the refusals that are believed now.
    pub(super) fn taken(&mut self, domain: &str, hash: &AddressHash, began: Instant, now: Instant) -> Vec<Bounce> {
        let mut believed = self.systems.taken(hash, began, now);
        if let Some(run) = self.run(domain, now) {
            believed.append(&mut run.taken(hash, began, now));
        }
        believed
    }

    /// The domain's, made where there is room.
    fn run(&mut self, domain: &str, now: Instant) -> Option<&mut Run> {
        if !self.domains.contains_key(domain) {
            if self.domains.len() >= DOMAINS && self.sweep.is_none_or(|at| at <= now) {
                self.domains.retain(|_, run| run.is_near(now));
                self.sweep = Some(now + NEAR / 15);
            }
            if self.domains.len() >= DOMAINS {
                return None;
            }
            self.domains.insert(domain.to_owned(), Run::default());
        }
        self.domains.get_mut(domain)
    }
}

impl Run {
    fn is_near(&self, now: Instant) -> bool {
        self.taken.is_some_and(|taken| now.saturating_duration_since(taken) <= NEAR)
    }

    fn refused(&mut self, bounce: Bounce, now: Instant) {
        if self.waiting.iter().any(|(_, other)| other.hash == bounce.hash) {
            return;
        }
        self.in_a_row += 1;
        if !self.is_near(now) || self.in_a_row > IN_A_ROW || self.waiting.len() >= WAITING {
            // It has to take a mail first.
            *self = Self::default();
        } else {
            self.waiting.push((now, bounce));
        }
    }

    fn taken(&mut self, hash: &AddressHash, began: Instant, now: Instant) -> Vec<Bounce> {
        self.taken = Some(now);
        self.in_a_row = 0;
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.waiting.retain(|(at, other)| now.saturating_duration_since(*at) <= NEAR && other.hash != *hash);
        // One that began before may have been taken before, too.
        let (believed, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(at, _)| *at <= began);
        self.waiting = waiting;
        Vec::into_iter(believed).map(|(_, bounce)| bounce).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::classify::Unknown;

    /// What happens, at which second, to which address of which domain.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        /// Taken, in a conversation that began so many seconds before.
        Taken(u64, &'static str, u8, u64),
        /// Refused as unknown.
        Refused(u64, &'static str, u8),
        /// Refused, as its domain is unknown.
        NoSystem(u64, &'static str, u8),
    }
    use Event::{NoSystem, Refused, Taken};

    fn bounce(address: u8, reason: Reason) -> Bounce {
        let code = if reason == Reason::HostUnknown { (5, 1, 2) } else { (5, 1, 1) };
        Bounce { hash: [address; 32], unknown: Unknown { code, reason } }
    }

    fn believed(events: &[Event]) -> Vec<u8> {
        let (mut belief, start) = (Belief::default(), Instant::now());
        let at = |second: u64| start + Duration::from_secs(100_000 + second);
        let mut believed = Vec::new();
        for event in events {
            match *event {
                Taken(second, domain, address, before) => {
                    let now = belief.taken(domain, &[address; 32], at(second - before), at(second));
                    believed.extend(now.iter().map(|bounce| bounce.hash[0]));
                }
                Refused(second, domain, address) => {
                    belief.refused(domain, bounce(address, Reason::UserUnknown), at(second));
                }
                NoSystem(second, domain, address) => {
                    belief.refused(domain, bounce(address, Reason::HostUnknown), at(second));
                }
            }
        }
        believed.sort_unstable();
        believed
    }

    #[test]
    fn a_refusal_is_believed_between_two_mails_that_its_domain_took() {
        for (events, expected) in [
            (&[Taken(1, "a", 1, 0), Refused(2, "a", 2), Taken(3, "a", 1, 0)][..], &[2][..]),
            // Nothing before, nothing after.
            (&[Refused(2, "a", 2), Taken(3, "a", 1, 0)], &[]),
            (&[Taken(1, "a", 1, 0), Refused(2, "a", 2)], &[]),
            // Another domain's.
            (&[Taken(1, "a", 1, 0), Refused(2, "a", 2), Taken(3, "b", 1, 0)], &[]),
            (&[Taken(1, "b", 1, 0), Refused(2, "a", 2), Taken(3, "a", 1, 0)], &[]),
            // Its own: there is somebody.
            (&[Taken(1, "a", 1, 0), Refused(2, "a", 2), Taken(3, "a", 2, 0), Taken(4, "a", 1, 0)], &[]),
            // It began before the refusal: the next one tells.
            (&[Taken(1, "a", 1, 0), Refused(2, "a", 2), Taken(4, "a", 1, 3)], &[]),
            (&[Taken(1, "a", 1, 0), Refused(2, "a", 2), Taken(4, "a", 1, 3), Taken(5, "a", 1, 1)], &[2]),
            // Long before, long after.
            (&[Taken(1, "a", 1, 0), Refused(902, "a", 2), Taken(903, "a", 1, 0)], &[]),
            (&[Taken(1, "a", 1, 0), Refused(901, "a", 2), Taken(1801, "a", 1, 0)], &[2]),
            (&[Taken(1, "a", 1, 0), Refused(901, "a", 2), Taken(1802, "a", 1, 0)], &[]),
            // Believed once.
            (&[Taken(1, "a", 1, 0), Refused(2, "a", 2), Taken(3, "a", 1, 0), Taken(4, "a", 1, 0)], &[2]),
        ] {
            assert_eq!(believed(events), expected, "{events:?}");
        }
    }

    #[test]
    fn a_server_that_refuses_everyone_for_a_while_is_not_believed_when_it_is_well_again() {
        for (refused, expected) in [(4, vec![10, 11, 12, 13]), (5, vec![]), (50, vec![])] {
            let mut events = vec![Taken(1, "a", 1, 0)];
            events.extend((0..refused).map(|n| Refused(2, "a", 10 + n)));
            events.push(Taken(3, "a", 1, 0));
            assert_eq!(believed(&events), expected, "{refused} in a row");
        }
        // The same one again is no other.
        let again = [Taken(1, "a", 1, 0)].into_iter().chain([Refused(2, "a", 9); 20]).chain([Taken(3, "a", 1, 0)]);
        assert_eq!(believed(&again.collect::<Vec<_>>()), [9]);
    }

    #[test]
    fn of_a_domain_that_nobody_knows_the_mails_for_others_tell() {
        for (events, expected) in [
            (&[Taken(1, "a", 1, 0), NoSystem(2, "typo", 2), Taken(3, "b", 1, 0)][..], &[2][..]),
            (&[NoSystem(2, "typo", 2), Taken(3, "b", 1, 0)], &[]),
            (&[Taken(1, "a", 1, 0), NoSystem(2, "typo", 2)], &[]),
        ] {
            assert_eq!(believed(events), expected, "{events:?}");
        }
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded() {
        let (mut belief, start) = (Belief::default(), Instant::now());
        for n in 0..2 * DOMAINS {
            belief.taken(&n.to_string(), &[0; 32], start, start);
        }
        assert_eq!(belief.domains.len(), DOMAINS);
        let later = start + NEAR + Duration::from_secs(1);
        belief.taken("later", &[0; 32], later, later);
        assert_eq!(belief.domains.len(), 1, "what is long ago made room");
    }
}
