//! "Not now" without a reason: is that the one recipient's matter, as greylisting is, or do we send too fast? No I/O.
//!
//! The words do not tell, so it is tried out: the same mail goes again within seconds, and has spent nothing. A server that
//! found us too fast takes it then; one that greylists does not. Where the limit is one of many mails in a long time, the
//! trial is over before it ends; but then a server that took everyone at once takes nobody any more, and one that greylists
//! never took newcomers at once. What was found holds for replies of this kind for a while, and is given up early when
//! sending slower does not help.

mod domains;
mod throttled;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::smtp::Stage;
use domains::Domains;
pub use domains::Whose;
use throttled::Throttled;

/// How long a mail waits before each further try of the trial. Refused after the last one, the refusal is its own.
const TRIAL: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Everyone was taken at once: so many mails in a row, and no longer ago than this.
const WELCOME: (u32, Duration) = (20, Duration::from_secs(10));
/// Nobody is taken any more: so many mails were refused in a row, and none was taken but those that were under way at the
/// first refusal, which are answered within this time.
const SILENCE: (u32, Duration) = (10, Duration::from_secs(1));
/// How long is believed what was found.
const BELIEVED_FOR: Duration = Duration::from_secs(600);
/// Of so many answers, more than a share of refusals means that sending slower does not help.
const LOOKED_AT: u32 = 60;
const TOO_MANY: u32 = 20;
/// Kinds of replies that are kept; servers have few.
const KINDS: usize = 16;

/// Replies that mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Where in the conversation.
    pub stage: Stage,
    /// The three digits.
    pub code: u16,
    /// The enhanced code, if it has one.
    pub enhanced: Option<(u8, u16, u16)>,
}

/// A refusal that does not say why.
#[derive(Debug, Clone, Copy)]
pub struct Unclear {
    /// What was said.
    pub kind: Kind,
    /// How often the mail was refused so before, in this trial.
    pub tries: usize,
    /// When this conversation began.
    pub began: Instant,
}

/// What to do about a refusal that does not say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// We send too fast.
    TooFast,
    /// It is about this mail.
    ItsOwn,
    /// Nobody knows yet: the same mail again, after this time.
    TryAgainIn(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// Refusals count whose conversation began after the last one that counted: what was under way then says nothing about
    /// what sending slower helps.
    TooFast {
        answers: u32,
        refused: u32,
        counted: Instant,
    },
    ItsOwn,
}

#[derive(Debug)]
struct Known {
    kind: Kind,
    belief: Belief,
    until: Instant,
}

/// What was found about kinds of replies; shared by all runs.
#[derive(Debug, Default)]
pub struct Doubts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    findings: Findings,
    domains: Domains,
    throttled: Throttled,
}

impl Doubts {
    /// A mail was refused.
    pub fn refused(&self, unclear: Unclear, now: Instant) -> Advice {
        self.state().findings.refused(unclear, now)
    }

    /// A mail that had been refused so was taken within the trial. True: that was news.
    pub fn taken_after(&self, kind: Kind, now: Instant) -> bool {
        self.state().findings.taken_after(kind, now)
    }

    /// Some mail was taken, at this domain; `at_once`: at its first attempt, without a trial.
    pub fn taken(&self, domain: &str, at_once: bool, now: Instant) {
        let mut state = self.state();
        state.findings.taken(at_once, now);
        state.domains.taken(domain, now);
        state.throttled.taken();
    }

    /// A mail was refused for the speed. True: there is none at which the server takes any.
    pub fn hopeless(&self, now: Instant) -> bool {
        self.state().throttled.refused(now)
    }

    /// A mail to this domain was refused for the speed: whose limit is it?
    pub fn whose_limit(&self, domain: &str, now: Instant) -> Whose {
        self.state().domains.refused(domain, now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Findings {
    known: Vec<Known>,
    // Mails taken at once in a row, and when one was taken so last, and when any was.
    welcome: u32,
    last_welcome: Option<Instant>,
    last_taken: Option<Instant>,
    silence: Option<Silence>,
}

/// Since the server refused mails in a row.
#[derive(Debug)]
struct Silence {
    since: Instant,
    refused: u32,
    // Taken at once in a row just before.
    welcome: u32,
}

impl Findings {
    fn refused(&mut self, unclear: Unclear, now: Instant) -> Advice {
        let Unclear { kind, tries, began } = unclear;
        if tries == 0 {
            self.silence_grows(now);
        }
        self.known.retain(|known| now < known.until);
        if let Some(known) = self.known.iter_mut().find(|known| known.kind == kind) {
            return match &mut known.belief {
                Belief::ItsOwn => Advice::ItsOwn,
                Belief::TooFast { counted, .. } if began < *counted => Advice::TooFast,
                Belief::TooFast { answers, refused, counted } => {
                    (*answers, *refused, *counted) = (*answers + 1, *refused + 1, now);
                    if *refused < TOO_MANY {
                        return Advice::TooFast;
                    }
                    known.belief = Belief::ItsOwn;
                    Advice::ItsOwn
                }
            };
        }
        match TRIAL.get(tries) {
            Some(wait) => Advice::TryAgainIn(*wait),
            None if self.fell_silent() => {
                self.learn(kind, too_fast(now), now);
                Advice::TooFast
            }
            None => {
                self.learn(kind, Belief::ItsOwn, now);
                Advice::ItsOwn
            }
        }
    }

    /// Only where others are taken at once: a server that lets everyone wait for seconds does not look at our speed.
    fn taken_after(&mut self, kind: Kind, now: Instant) -> bool {
        let welcomed = self.last_welcome.is_some_and(|last| now <= last + WELCOME.1);
        let is_news = welcomed && !self.known.iter().any(|known| known.kind == kind && now < known.until);
        if is_news {
            self.learn(kind, too_fast(now), now);
        }
        is_news
    }

    fn silence_grows(&mut self, now: Instant) {
        let soon = self.last_taken.is_some_and(|last| now <= last + WELCOME.1);
        let welcome = if soon { self.welcome } else { 0 };
        self.silence.get_or_insert(Silence { since: now, refused: 0, welcome }).refused += 1;
    }

    /// Everyone was taken at once, and then nobody any more.
    fn fell_silent(&self) -> bool {
        self.silence.as_ref().is_some_and(|silence| silence.welcome >= WELCOME.0 && silence.refused >= SILENCE.0)
    }

    fn taken(&mut self, at_once: bool, now: Instant) {
        let under_way = self.silence.as_ref().is_some_and(|silence| now <= silence.since + SILENCE.1);
        if !under_way {
            let goes_on = at_once && self.silence.is_none();
            self.welcome = if goes_on { self.welcome.saturating_add(1) } else { u32::from(at_once) };
            self.silence = None;
        }
        if at_once {
            self.last_welcome = Some(now);
        }
        self.last_taken = Some(now);
        for known in &mut self.known {
            if let Belief::TooFast { answers, refused, .. } = &mut known.belief {
                *answers += 1;
                if *answers >= LOOKED_AT {
                    (*answers, *refused) = (0, 0);
                }
            }
        }
    }

    fn learn(&mut self, kind: Kind, belief: Belief, now: Instant) {
        self.known.retain(|known| known.kind != kind);
        if self.known.len() == KINDS {
            self.known.remove(0);
        }
        self.known.push(Known { kind, belief, until: now + BELIEVED_FOR });
    }
}

fn too_fast(now: Instant) -> Belief {
    Belief::TooFast { answers: 0, refused: 0, counted: now }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Kind = Kind { stage: Stage::Rcpt, code: 450, enhanced: Some((4, 7, 1)) };
    const OTHER: Kind = Kind { stage: Stage::Content, code: 451, enhanced: None };

    /// A refusal of a mail that goes at once and is answered at once.
    fn refusal(kind: Kind, tries: usize, now: Instant) -> Unclear {
        Unclear { kind, tries, began: now }
    }

    /// A server that takes mails at once.
    fn welcomed() -> (Findings, Instant) {
        let (mut doubts, now) = (Findings::default(), Instant::now());
        doubts.taken(true, now);
        (doubts, now)
    }

    #[test]
    fn a_mail_that_is_refused_again_and_again_has_a_refusal_of_its_own_and_so_have_the_next() {
        let (mut doubts, now) = (Findings::default(), Instant::now());
        for (tries, wait) in TRIAL.into_iter().enumerate() {
            assert_eq!(doubts.refused(refusal(LATER, tries, now), now), Advice::TryAgainIn(wait), "try {tries}");
        }
        assert_eq!(doubts.refused(refusal(LATER, 3, now), now), Advice::ItsOwn);
        assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::ItsOwn, "another mail");
        assert_eq!(doubts.refused(refusal(OTHER, 0, now), now), Advice::TryAgainIn(TRIAL[0]), "another kind of reply");
        assert_eq!(
            doubts.refused(refusal(LATER, 0, now + BELIEVED_FOR), now + BELIEVED_FOR),
            Advice::TryAgainIn(TRIAL[0]),
            "after a while"
        );
    }

    #[test]
    fn a_mail_that_is_taken_a_moment_later_was_refused_for_the_speed_and_so_are_the_next() {
        let (mut doubts, now) = welcomed();
        assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TryAgainIn(TRIAL[0]));
        assert!(doubts.taken_after(LATER, now) && !doubts.taken_after(LATER, now));
        assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TooFast);
        let later = now + BELIEVED_FOR;
        doubts.taken(true, later);
        assert!(doubts.taken_after(LATER, later), "it is news again");
    }

    #[test]
    fn where_nobody_is_taken_at_once_a_mail_that_is_taken_later_says_nothing_about_the_speed() {
        let (mut doubts, began) = welcomed();
        let now = began + WELCOME.1 + Duration::from_millis(1);
        assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TryAgainIn(TRIAL[0]));
        doubts.taken(false, now);
        assert!(!doubts.taken_after(LATER, now));
        assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TryAgainIn(TRIAL[0]), "the next");
    }

    #[test]
    fn when_sending_slower_does_not_help_it_was_not_the_speed() {
        for (accepted_between, expected) in [
            (0, Advice::ItsOwn),
            (1, Advice::ItsOwn),
            (2, Advice::ItsOwn),
            // The refusals are answers, too.
            (3, Advice::TooFast),
            (20, Advice::TooFast),
        ] {
            let (mut doubts, now) = welcomed();
            doubts.taken_after(LATER, now);
            for _ in 1..TOO_MANY {
                assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TooFast);
                (0..accepted_between).for_each(|_| doubts.taken(false, now));
            }
            assert_eq!(
                doubts.refused(refusal(LATER, 0, now), now),
                expected,
                "{accepted_between} accepted after each refusal"
            );
        }
    }

    #[test]
    fn what_was_under_way_at_a_refusal_says_nothing_about_what_sending_slower_helps() {
        let (mut doubts, now) = welcomed();
        doubts.taken_after(LATER, now);
        let before = Unclear { began: now - Duration::from_millis(1), ..refusal(LATER, 0, now) };
        for _ in 0..2 * TOO_MANY {
            assert_eq!(doubts.refused(before, now), Advice::TooFast);
        }
    }

    #[test]
    fn all_flights_share_what_was_found() {
        let (doubts, began) = (Doubts::default(), Instant::now());
        let minute = |n: u32| began + n * Duration::from_secs(60);
        doubts.taken("good.example", true, began);
        assert_eq!(doubts.refused(refusal(LATER, 0, began), began), Advice::TryAgainIn(TRIAL[0]));
        assert!(doubts.taken_after(LATER, began) && !doubts.taken_after(LATER, began));
        assert_eq!(doubts.refused(refusal(LATER, 0, began), began), Advice::TooFast);

        (0..100).for_each(|_| doubts.taken("good.example", true, began));
        let whose = (0..20).map(|_| doubts.whose_limit("slow.example", began)).last();
        assert_eq!(whose, Some(Whose::Domain));

        assert_eq!([0, 1, 2].map(|n| doubts.hopeless(minute(n))), [false, false, true]);
        doubts.taken("good.example", true, minute(3));
        assert!(!doubts.hopeless(minute(6)), "it took one meanwhile");
    }

    /// What a server did: so many mails of this answer, and then time passes.
    enum Did {
        TookAtOnce(u32),
        TookLater(u32),
        Refused(u32),
        Nothing(Duration),
    }

    #[test]
    fn a_server_that_took_everyone_at_once_and_then_takes_nobody_has_enough_for_a_long_time() {
        use Did::{Nothing, Refused, TookAtOnce, TookLater};
        let second = Duration::from_secs(1);
        let while_it_is_tried = Nothing(4 * second);
        for (name, did, expected) in [
            ("its mails are used up", [TookAtOnce(20), Nothing(second), Refused(10)], Advice::TooFast),
            ("some were under way", [TookAtOnce(20), Refused(10), TookAtOnce(5)], Advice::TooFast),
            ("few were taken", [TookAtOnce(19), Nothing(second), Refused(10)], Advice::ItsOwn),
            ("few were refused", [TookAtOnce(300), Nothing(second), Refused(9)], Advice::ItsOwn),
            (
                "they had been refused before, as by greylisting",
                [TookLater(300), Nothing(second), Refused(50)],
                Advice::ItsOwn,
            ),
            ("it was long ago", [TookAtOnce(300), Nothing(11 * second), Refused(50)], Advice::ItsOwn),
            ("others are taken meanwhile", [Refused(50), Nothing(2 * second), TookAtOnce(300)], Advice::ItsOwn),
            ("some are refused, and most are not", [TookAtOnce(5), Refused(50), TookAtOnce(300)], Advice::ItsOwn),
        ] {
            let (mut doubts, mut now) = (Findings::default(), Instant::now());
            for did in did.iter().chain([&while_it_is_tried]) {
                match did {
                    TookAtOnce(mails) => (0..*mails).for_each(|_| doubts.taken(true, now)),
                    TookLater(mails) => (0..*mails).for_each(|_| doubts.taken(false, now)),
                    Refused(mails) => (0..*mails).for_each(|_| {
                        doubts.refused(refusal(LATER, 0, now), now);
                    }),
                    Nothing(time) => now += *time,
                }
            }
            assert_eq!(doubts.refused(refusal(LATER, TRIAL.len(), now), now), expected, "{name}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut doubts, now) = welcomed();
        for code in 400..499 {
            doubts.taken_after(Kind { code, ..LATER }, now);
        }
        assert_eq!(doubts.known.len(), KINDS);
    }
}
