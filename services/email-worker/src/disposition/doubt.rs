//! "Not now" without a reason: is that the one recipient's matter, as greylisting is, or do we send too fast? No I/O.
//!
//! The words do not tell, so it is tried out: the same mail goes again within seconds, and has spent nothing. A server that
//! found us too fast takes it then; one that greylists does not. What was found holds for replies of this kind for a while,
//! and is given up early when sending slower does not help.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::email::Stage;

/// How long a mail waits before each further try of the trial. Refused after the last one, the refusal is its own.
const TRIAL: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
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
    TooFast { answers: u32, refused: u32 },
    ItsOwn,
}

#[derive(Debug)]
struct Known {
    kind: Kind,
    belief: Belief,
    until: Instant,
}

/// What was found about kinds of replies; shared by all flights.
#[derive(Debug, Default)]
pub struct Doubts(Mutex<Findings>);

impl Doubts {
    /// A mail was refused so, for the `tries`-th time of this trial (0: the first).
    pub fn refused(&self, kind: Kind, tries: usize, now: Instant) -> Advice {
        self.findings().refused(kind, tries, now)
    }

    /// A mail that had been refused so was taken within the trial. True: that was news.
    pub fn taken_after(&self, kind: Kind, now: Instant) -> bool {
        self.findings().taken_after(kind, now)
    }

    /// Some mail was taken.
    pub fn taken(&self) {
        self.findings().taken();
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Findings {
    known: Vec<Known>,
}

impl Findings {
    fn refused(&mut self, kind: Kind, tries: usize, now: Instant) -> Advice {
        self.known.retain(|known| now < known.until);
        if let Some(known) = self.known.iter_mut().find(|known| known.kind == kind) {
            return match &mut known.belief {
                Belief::ItsOwn => Advice::ItsOwn,
                Belief::TooFast { answers, refused } => {
                    (*answers, *refused) = (*answers + 1, *refused + 1);
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
            None => {
                self.learn(kind, Belief::ItsOwn, now);
                Advice::ItsOwn
            }
        }
    }

    fn taken_after(&mut self, kind: Kind, now: Instant) -> bool {
        let is_news = !self.known.iter().any(|known| known.kind == kind && now < known.until);
        if is_news {
            self.learn(kind, Belief::TooFast { answers: 0, refused: 0 }, now);
        }
        is_news
    }

    fn taken(&mut self) {
        for known in &mut self.known {
            if let Belief::TooFast { answers, refused } = &mut known.belief {
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

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Kind = Kind { stage: Stage::Rcpt, code: 450, enhanced: Some((4, 7, 1)) };
    const OTHER: Kind = Kind { stage: Stage::Content, code: 451, enhanced: None };

    #[test]
    fn a_mail_that_is_refused_again_and_again_has_a_refusal_of_its_own_and_so_have_the_next() {
        let (mut doubts, now) = (Findings::default(), Instant::now());
        for (tries, wait) in TRIAL.into_iter().enumerate() {
            assert_eq!(doubts.refused(LATER, tries, now), Advice::TryAgainIn(wait), "try {tries}");
        }
        assert_eq!(doubts.refused(LATER, 3, now), Advice::ItsOwn);
        assert_eq!(doubts.refused(LATER, 0, now), Advice::ItsOwn, "another mail");
        assert_eq!(doubts.refused(OTHER, 0, now), Advice::TryAgainIn(TRIAL[0]), "another kind of reply");
        assert_eq!(doubts.refused(LATER, 0, now + BELIEVED_FOR), Advice::TryAgainIn(TRIAL[0]), "after a while");
    }

    #[test]
    fn a_mail_that_is_taken_a_moment_later_was_refused_for_the_speed_and_so_are_the_next() {
        let (mut doubts, now) = (Findings::default(), Instant::now());
        assert_eq!(doubts.refused(LATER, 0, now), Advice::TryAgainIn(TRIAL[0]));
        assert!(doubts.taken_after(LATER, now) && !doubts.taken_after(LATER, now));
        assert_eq!(doubts.refused(LATER, 0, now), Advice::TooFast);
    }

    #[test]
    fn when_sending_slower_does_not_help_it_was_not_the_speed() {
        for (accepted_between, expected) in [(0, Advice::ItsOwn), (1, Advice::ItsOwn), (20, Advice::TooFast)] {
            let (mut doubts, now) = (Findings::default(), Instant::now());
            doubts.taken_after(LATER, now);
            for _ in 1..TOO_MANY {
                assert_eq!(doubts.refused(LATER, 0, now), Advice::TooFast);
                (0..accepted_between).for_each(|_| doubts.taken());
            }
            assert_eq!(doubts.refused(LATER, 0, now), expected, "{accepted_between} accepted after each refusal");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut doubts, now) = (Findings::default(), Instant::now());
        for code in 400..499 {
            doubts.taken_after(Kind { code, ..LATER }, now);
        }
        assert_eq!(doubts.known.len(), KINDS);
    }
}
