//! "Not now" without a reason: is that the one recipient's matter, as greylisting is, or do we send too fast? No I/O.
//!
//! The words do not tell, so it is tried out: the same mail goes again within seconds, and has spent nothing. A server that
//! found us too fast takes it then; one that greylists does not. Where the limit is one of many mails in a long time, the
//! trial is over before it ends; but then a server that took everyone at once takes nobody any more, and one that greylists
//! never took newcomers at once. What was found holds for replies of this kind for a while, and is given up early when
//! sending slower does not help.

mod domains;
mod throttled;
mod trial;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::smtp::Stage;
use domains::Domains;
pub use domains::Whose;
use throttled::Throttled;
use trial::Trials;

/// Everyone was taken at once: so many mails in a row, and no longer ago than this.
const WELCOME: (u32, Duration) = (20, Duration::from_secs(10));
/// Nobody is taken any more: so many mails were refused in a row, and none was taken but those that were under way at the
/// first refusal, which are answered within this time.
const SILENCE: (u32, Duration) = (10, Duration::from_secs(1));
/// And a mail was refused so often before, over some seconds. That is known before any trial ends: workers that came too late
/// to see anybody taken hear it in time.
const SILENT_TRIES: usize = 2;
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

/// As the fleet keeps it: workers of all versions read it alike.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stage.slug(), self.code)?;
        self.enhanced.map_or(Ok(()), |(class, subject, detail)| write!(f, " {class}.{subject}.{detail}"))
    }
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

    /// Some worker found, at this time by the fleet's clock, that replies of this kind speak of speed. It counts once, and more
    /// than what this worker found before.
    pub fn told(&self, kind: Kind, found_at: f64, now: Instant) {
        self.state().findings.told(kind, found_at, now);
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

    /// A mail to this domain was refused for the speed while nothing but it was sent: nobody else's answer is there to compare
    /// with. Is the limit known to be the domain's own?
    pub fn whose_limit_alone(&self, domain: &str, now: Instant) -> Whose {
        self.state().domains.known(domain, now)
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
    trials: Trials,
    // What other workers found that counted already, and when they did.
    told: Vec<(Kind, f64)>,
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
        if tries >= SILENT_TRIES && self.fell_silent() {
            self.learn(kind, too_fast(now), now);
            return Advice::TooFast;
        }
        match self.trials.wait(kind, tries, now) {
            Some(wait) => Advice::TryAgainIn(wait),
            None => {
                self.learn(kind, Belief::ItsOwn, now);
                Advice::ItsOwn
            }
        }
    }

    fn told(&mut self, kind: Kind, found_at: f64, now: Instant) {
        if self.told.iter().any(|(told, at)| *told == kind && *at >= found_at) {
            return;
        }
        self.told.retain(|(told, _)| *told != kind);
        if self.told.len() == KINDS {
            self.told.remove(0);
        }
        self.told.push((kind, found_at));
        self.learn(kind, too_fast(now), now);
    }

    /// Only where others are taken at once: a server that lets everyone wait for seconds does not look at our speed.
    fn taken_after(&mut self, kind: Kind, now: Instant) -> bool {
        self.trials.taken(kind);
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
        self.trials.over(kind);
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
mod tests;
