//! What the fleet learnt about the mail server's own limit. No I/O, no clock.
//!
//! The server says no when mails come too fast; nobody is told how fast is not. So the fleet feels its way: a refusal stops
//! it for a moment, then one mail asks whether it may go on, and it goes on somewhat slower. From there the rate rises to
//! where it was refused, slowly while it is near (as CUBIC does in TCP, RFC 9438), and faster when nothing happens there.
//!
//! Two kinds of limits are told apart by how long the server keeps saying no. One that takes mails again within a second
//! has a short window: what counts is the rate at which it refused. One that goes on refusing has a long window (a minute's
//! mails, taken in ten seconds): what counts is how many it took from the start of the window to its end.

mod doubt;
mod found;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::doubt::Before;
pub(super) use self::doubt::Domain;
pub(super) use self::found::Found;
use super::pace::Rate;

/// Moments of the fleet and of the refusals, in seconds by the database's clock.
pub(super) type Seconds = f64;

/// At this rate and above nothing holds the fleet back.
const FREE: f64 = Rate::MOST as f64;
/// How long nobody sends after the first refusal; doubled by each probe that is refused.
const FIRST_PAUSE: Seconds = 0.2;
/// How long between two probes at most, while the pause is young.
const LONGEST_STEP: Seconds = 8.0;
/// Later a probe comes after this share of the pause so far: a limit an hour is not asked every eight seconds.
const STEP_SHARE: f64 = 0.1;
/// A server that takes one of the first three probes has a short window. It is the probes that count, which come 0.2, 0.6 and
/// 1.4 seconds after the refusal at the earliest, and not the time: each comes as late as rows are read and answers travel.
const SHORT_STEP: Seconds = 4.0 * FIRST_PAUSE;
/// But if mails are taken again after this time, or this many mails' time where that is more, nobody asked for long.
const SHORT_PAUSE: (Seconds, f64) = (3.0, 4.0);
/// A probe that gets no answer for so long is given up, and another one sent.
const PROBE_ANSWERS_WITHIN: Seconds = 5.0;
/// Fewer mails than this tell nothing about a window.
const TELLING: f64 = 10.0;
/// What is left of a rate that was borne for a while, of one that was refused at once, and of one that was refused before
/// there were mails enough to tell anything else.
const CUT: (f64, f64, f64) = (0.93, 0.7, 0.5);
/// A rate that was in use for so long, and for so many mails, was borne for a while.
const A_WHILE: (Seconds, f64) = (5.0, 20.0);
/// From a cut back to where it was refused: seconds, and mails at least, so that a slow fleet does not ask all the time.
const CLIMB: (Seconds, f64) = (15.0, 100.0);
/// Where nothing is known of the limit, the rate doubles in this time.
const DOUBLES_IN: Seconds = 2.0;
/// And in this one, and this many mails, where it can't be far.
const DOUBLES_NEARBY_IN: (Seconds, f64) = (10.0, 60.0);
/// What was sent is counted over so long; older counts fade.
const COUNTED_OVER: Seconds = 120.0;

/// A rate at which nothing was refused for so long, and for two climbs, is not what the server takes: it takes more.
const UNTOLD: Seconds = 600.0;

/// The state of what the fleet learnt, as the row keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Learnt {
    /// Raised by each refusal that counted: refusals of mails that were let go before it are no news.
    pub(super) episode: i64,
    /// Mails a second that are let go; [`FREE`]: no limit was met.
    rate: f64,
    /// Where the climb began.
    low: f64,
    /// Where it was refused last; none: the rate doubles until it is.
    wall: Option<f64>,
    /// How long the climb to the wall takes; without a wall, how long the rate takes to double.
    climb: Seconds,
    /// How long the rate has been in use since the climb began.
    used: Seconds,
    /// When a moment was leased last.
    at: Seconds,
    /// Since when `count` is counted.
    since: Seconds,
    /// Mails let go since.
    count: f64,
    /// Nobody sends but a probe.
    pause: Option<Pause>,
    /// What to go back to if all that was learnt since is one domain's own limit.
    before: Option<Before>,
    /// Replies that do not say why, and speak of speed.
    pub(super) found: Found,
    /// What the server said last, and when.
    pub(super) reason: String,
    pub(super) refused_at: Seconds,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pause {
    since: Seconds,
    until: Seconds,
    step: Seconds,
    /// When the last probe went.
    asked: Seconds,
    /// The rate that was refused; none: there was no limit.
    refused: Option<f64>,
    /// Mails in the second before it, as far as workers told, where nobody counted for the fleet.
    taken: f64,
}

/// A refusal that speaks of speed.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// The episode in which the mail was let go.
    pub(super) episode: i64,
    /// What the server said.
    pub(super) reason: String,
    /// What this worker got through before.
    pub(super) taken: Taken,
    /// Whose own limit it may be; none: it is everyone's.
    pub(super) domain: Option<Domain>,
}

impl Refusal {
    /// Two that the row is told at once: everyone's limit, if one of them says so.
    pub(super) fn after(self, earlier: Option<&Self>) -> Self {
        let everyones = earlier.is_some_and(|earlier| earlier.domain.is_none());
        Self { domain: self.domain.filter(|_| !everyones), ..self }
    }
}

/// What one worker got through while nobody counted for the fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Taken {
    /// Mails in the last second.
    pub(super) second: f64,
    /// Mails in the last minute, or since the first of them.
    pub(super) minute: f64,
    /// How long ago that was.
    pub(super) since: Seconds,
}

/// May a mail go?
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Leave {
    /// As fast as the ceiling says.
    Free,
    /// At most so fast.
    At(f64),
    /// One, to see whether the server takes mails again.
    Probe(f64),
    /// Not before then.
    NotBefore(Seconds),
}

impl Default for Learnt {
    fn default() -> Self {
        Self {
            episode: 0,
            rate: FREE,
            low: FREE,
            wall: None,
            climb: CLIMB.0,
            used: 0.0,
            at: 0.0,
            since: 0.0,
            count: 0.0,
            pause: None,
            before: None,
            found: Found::default(),
            reason: String::new(),
            refused_at: 0.0,
        }
    }
}

impl Learnt {
    /// The rate that was learnt, if the server was ever too slow.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.rate < FREE).then_some(self.rate)
    }

    /// Is nobody sending but a probe?
    pub(super) fn pauses(&self) -> bool {
        self.pause.is_some()
    }

    /// How much longer the rate may be called what the server takes, if nothing is refused.
    pub(super) fn expects_a_refusal_for(&self, now: Seconds) -> Duration {
        let untold = UNTOLD + 2.0 * self.climb;
        Duration::try_from_secs_f64(self.refused_at + untold - now).unwrap_or_default()
    }

    /// Whether and how fast mails may go.
    pub(super) fn leave(&self, now: Seconds) -> Leave {
        match &self.pause {
            Some(pause) if now < pause.until => Leave::NotBefore(pause.until),
            Some(_) => Leave::Probe(self.rate),
            None if self.rate >= FREE => Leave::Free,
            None => Leave::At(self.rate),
        }
    }

    /// A probe goes at `moment`: nobody else asks until its answer is there, or can't be hoped for.
    pub(super) fn probing(&mut self, moment: Seconds) {
        if let Some(pause) = &mut self.pause {
            (pause.asked, pause.until) = (moment, moment + PROBE_ANSWERS_WITHIN);
        }
    }

    /// `count` mails were let go now. Did they have to wait for the rate? Only a rate that is in use may rise.
    pub(super) fn leased(&mut self, now: Seconds, count: u32, waited: bool) {
        let since_last = (now - self.at).max(0.0);
        let spacing = 1.0 / self.rate;
        if waited {
            self.used += since_last.min((2.0 * spacing).max(1.0));
            if self.pause.is_none() {
                self.rate = self.grown();
            }
        } else if since_last > (2.0 * spacing).max(2.0) {
            (self.since, self.count) = (now, 0.0);
        }
        if now - self.since > COUNTED_OVER.max(20.0 * spacing) {
            self.count /= 2.0;
            self.since = now - (now - self.since) / 2.0;
        }
        self.at = now;
        self.count += f64::from(count);
    }

    fn grown(&self) -> f64 {
        if self.rate >= FREE {
            return FREE;
        }
        let grown = match self.wall {
            None => self.low * (self.used / self.climb).min(64.0).exp2(),
            Some(wall) => wall + (wall - self.low) * (self.used / self.climb - 1.0).powi(3),
        };
        grown.clamp(self.rate, FREE)
    }

    /// The server said no at this ceiling. A refusal from before the last pause is no news.
    pub(super) fn refused(&mut self, now: Seconds, refusal: &Refusal, ceiling: Option<f64>) {
        if refusal.episode < self.episode {
            return self.took(now, refusal.taken);
        }
        self.doubt(refusal.domain);
        self.reason.clone_from(&refusal.reason);
        self.refused_at = now;
        if let Some(pause) = &mut self.pause {
            pause.step = (pause.step * 2.0).min(LONGEST_STEP.max(STEP_SHARE * (now - pause.since)));
            pause.until = now + pause.step;
            return;
        }
        // Higher than ours after a restore of the database: never back.
        self.episode = refusal.episode + 1;
        let in_force = self.rate.min(ceiling.unwrap_or(FREE));
        self.pause = Some(Pause {
            since: now,
            until: now + FIRST_PAUSE,
            step: FIRST_PAUSE,
            asked: now,
            refused: (in_force < FREE).then_some(in_force),
            taken: 0.0,
        });
        if in_force >= FREE {
            (self.since, self.count) = (now, 0.0);
            self.took(now, refusal.taken);
        }
        // So that no reader sees it as free.
        self.rate = in_force.min(FREE / 2.0);
    }

    /// A worker tells what it got through before the first refusal.
    pub(super) fn took(&mut self, now: Seconds, taken: Taken) {
        if let Some(pause) = self.pause.as_mut().filter(|pause| pause.refused.is_none()) {
            pause.taken += taken.second;
            self.count += taken.minute;
            self.since = self.since.min(now - taken.since);
        }
    }

    /// The server answered a probe of this episode without a word about speed: on it goes, slower.
    pub(super) fn answered(&mut self, now: Seconds, episode: i64) {
        if episode != self.episode {
            return;
        }
        let Some(pause) = self.pause.take() else { return };
        let (window, stopped) = ((pause.asked - self.since).max(FIRST_PAUSE), pause.asked - pause.since);
        let used_for_a_while = self.used >= A_WHILE.0.max(pause.refused.map_or(0.0, |refused| A_WHILE.1 / refused));
        let cut = if used_for_a_while { CUT.0 } else { CUT.1 };
        // From the window's begin to the moment at which the server took mails again.
        let taken = self.count.max(1.0) / window;
        let some_mails = pause.refused.map_or(0.0, |refused| SHORT_PAUSE.1 / refused);
        let short = stopped <= some_mails || (stopped <= SHORT_PAUSE.0 && pause.step <= SHORT_STEP);
        // A rate that was hardly used tells little, unless the server is silent for much longer.
        let short = short || (!used_for_a_while && stopped < self.used);
        let short = short || self.count < TELLING;
        let borne = used_for_a_while && short;
        let climb = |low: f64| CLIMB.0.max(CLIMB.1 / low);
        (self.low, self.wall, self.climb) = match pause.refused {
            Some(refused) if borne || taken >= refused * cut => (refused * cut, Some(refused), climb(refused)),
            _ if !short => (taken, Some(taken / CUT.0), climb(taken)),
            Some(refused) => {
                let low = if self.count < TELLING { taken.max(refused * CUT.2) } else { taken };
                (low, None, DOUBLES_NEARBY_IN.0.max(DOUBLES_NEARBY_IN.1 / low))
            }
            None => (pause.taken.max(1.0) / (1.0 + stopped), None, DOUBLES_IN),
        };
        self.low = Rate::per_second(self.low).mails_per_second();
        self.rate = self.low;
        self.used = 0.0;
        self.at = now;
        (self.since, self.count) = (now, 0.0);
    }
}

#[cfg(test)]
mod tests;
