//! What was learnt from refusals that may be one domain's own limit, and goes when it is found to be that.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

use super::{Learnt, Seconds};

/// So many domains may be in doubt at once: where more refuse, it is nobody's own limit.
const MOST: usize = 8;

/// A domain as the row keeps it, not by its name. Workers of other builds may hash it otherwise: then nothing is unlearnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::rate) struct Domain(u64);

impl Domain {
    pub(in crate::rate) fn of(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What was known before the first of these domains refused; since then nobody else did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Before {
    domains: Vec<Domain>,
    rate: f64,
    low: f64,
    wall: Option<f64>,
    climb: Seconds,
    used: Seconds,
    reason: String,
}

impl Learnt {
    /// Domains whose refusals counted, and whose own limit that may have been.
    pub(in crate::rate) fn doubted(&self) -> &[Domain] {
        self.before.as_ref().map_or(&[], |before| &before.domains)
    }

    /// Before a refusal counts: keeps what is known, as long as it may only be these domains who refuse. `None`: it is
    /// everyone's limit.
    pub(super) fn doubt(&mut self, domain: Option<Domain>) {
        self.before = match (self.before.take(), domain) {
            (Some(before), Some(domain)) if before.domains.contains(&domain) => Some(before),
            (Some(mut before), Some(domain)) if before.domains.len() < MOST => {
                before.domains.push(domain);
                Some(before)
            }
            (None, Some(domain)) if !self.pauses() => Some(Before {
                domains: vec![domain],
                rate: self.rate,
                low: self.low,
                wall: self.wall,
                climb: self.climb,
                used: self.used,
                reason: self.reason.clone(),
            }),
            _ => None,
        };
    }

    /// This domain's limit is its own. True: what was learnt since it refused is gone. It stays as long as another domain's
    /// refusals may be everyone's.
    pub(in crate::rate) fn unlearn(&mut self, now: Seconds, domain: Domain) -> bool {
        let Some(mut before) = self.before.take() else { return false };
        before.domains.retain(|doubted| *doubted != domain);
        if !before.domains.is_empty() {
            self.before = Some(before);
            return false;
        }
        let has_risen_since = !self.pauses() && self.rate >= before.rate;
        if has_risen_since {
            return false;
        }
        let Before { rate, low, wall, climb, used, reason, domains: _ } = before;
        (self.rate, self.low, self.wall, self.climb, self.used, self.reason) = (rate, low, wall, climb, used, reason);
        self.pause = None;
        (self.since, self.count, self.at) = (now, 0.0, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Leave, Refusal, Taken};
    use super::*;

    /// What happens to a fleet that was held to 10 a second.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        /// A refusal that may be this domain's own matter.
        Perhaps(&'static str),
        /// One that is everyone's.
        Everyones,
        /// The server takes mails again.
        GoesOn,
        /// So many seconds at the rate, in use.
        Climbs(u32),
        /// It was this domain's own limit.
        Own(&'static str),
    }

    fn at_ten() -> Learnt {
        Learnt { rate: 10.0, low: 9.3, wall: Some(11.0), used: 8.0, reason: "before".to_owned(), ..Learnt::default() }
    }

    /// What is left in the end, and how often something was unlearnt.
    fn after(events: &[Event]) -> (Learnt, u32) {
        let (mut learnt, mut now, mut unlearnt) = (at_ten(), 1_000.0, 0);
        for event in events {
            now += 0.3;
            let domain = match event {
                Event::Perhaps(name) | Event::Own(name) => Some(Domain::of(name)),
                _ => None,
            };
            match event {
                Event::Perhaps(_) | Event::Everyones => {
                    let (episode, reason) = (learnt.episode, "too fast".to_owned());
                    learnt.refused(now, &Refusal { episode, reason, taken: Taken::default(), domain }, None);
                }
                Event::GoesOn => {
                    learnt.probing(now);
                    learnt.answered(now, learnt.episode);
                }
                Event::Climbs(seconds) => (0..*seconds * 10).for_each(|_| {
                    now += 0.1;
                    learnt.leased(now, 1, true);
                }),
                Event::Own(_) => unlearnt += domain.map_or(0, |domain| u32::from(learnt.unlearn(now, domain))),
            }
        }
        (learnt, unlearnt)
    }

    #[test]
    fn what_was_learnt_from_a_domain_goes_when_its_limit_is_its_own() {
        use Event::{Climbs, Everyones, GoesOn, Own, Perhaps};
        for (name, events, unlearnt) in [
            ("during the pause", &[Perhaps("a"), Own("a")][..], 1),
            ("after it", &[Perhaps("a"), GoesOn, Own("a")], 1),
            ("refused again and again", &[Perhaps("a"), GoesOn, Perhaps("a"), Perhaps("a"), GoesOn, Own("a")], 1),
            ("once", &[Perhaps("a"), GoesOn, Own("a"), Own("a")], 1),
            ("each time", &[Perhaps("a"), Own("a"), Perhaps("a"), Own("a")], 2),
            ("two domains, each by itself", &[Perhaps("a"), GoesOn, Perhaps("b"), Own("a"), Own("b")], 1),
            ("nothing was learnt", &[Own("a")], 0),
            ("of another domain", &[Perhaps("a"), GoesOn, Own("b")], 0),
            ("another one is open", &[Perhaps("a"), GoesOn, Perhaps("b"), Own("a")], 0),
            ("then everyone was refused", &[Perhaps("a"), GoesOn, Everyones, GoesOn, Own("a")], 0),
            ("everyone was refused meanwhile", &[Perhaps("a"), Everyones, GoesOn, Own("a")], 0),
            ("everyone had been refused", &[Everyones, Perhaps("a"), GoesOn, Own("a")], 0),
            ("it is faster than before", &[Perhaps("a"), GoesOn, Climbs(60), Own("a")], 0),
        ] {
            let (learnt, times) = after(events);
            assert_eq!(times, unlearnt, "{name}: {events:?}");
            if unlearnt > 0 {
                assert_eq!(learnt.leave(2_000.0), Leave::At(10.0), "{name}: {learnt:?}");
                assert_eq!((learnt.wall, learnt.reason.as_str()), (Some(11.0), "before"), "{name}");
                assert_eq!(learnt.doubted(), [], "{name}");
            }
        }
    }

    #[test]
    fn a_refusal_from_before_the_pause_is_no_news_after_it_was_unlearnt() {
        let (mut learnt, _) = after(&[Event::Perhaps("a"), Event::Own("a")]);
        let domain = Some(Domain::of("a"));
        learnt.refused(2_000.0, &Refusal { episode: 0, reason: String::new(), taken: Taken::default(), domain }, None);
        assert_eq!(learnt.leave(2_000.0), Leave::At(10.0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut learnt = at_ten();
        for _ in 0..=MOST {
            learnt.doubt(Some(Domain::of("d0.example")));
            assert_eq!(learnt.doubted().len(), 1, "the same one again");
        }
        for n in 0..MOST {
            learnt.doubt(Some(Domain::of(&format!("d{n}.example"))));
            assert_eq!(learnt.doubted().len(), n + 1);
        }
        learnt.doubt(Some(Domain::of("one.more.example")));
        assert_eq!(learnt.doubted(), []);
    }

    #[test]
    fn a_row_of_an_older_worker_is_read_and_one_of_a_newer_as_well() {
        assert_eq!(serde_json::from_str::<Learnt>("{}").unwrap(), Learnt::default());
        let (learnt, _) = after(&[Event::Perhaps("a")]);
        let written = serde_json::to_string(&learnt).unwrap();
        assert_eq!(serde_json::from_str::<Learnt>(&written).unwrap(), learnt, "{written}");
    }
}
