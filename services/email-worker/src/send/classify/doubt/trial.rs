//! How long a mail waits for its next try, as long as nobody knows what its refusal was about. No I/O.
//!
//! Where the speed was it, all mails in trial compete for the few that the server takes a second, with those of the other
//! workers. So the more there are, the longer each waits, and no two for the same time: else those that are tried last in
//! each second never see that the server takes mails again, and nobody's trial would tell the two apart.

use std::time::Duration;

use tokio::time::Instant;

use super::{KINDS, Kind};

/// Before each further try of a mail that is alone.
pub(super) const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// So many others make it wait for twice as long, on average; and more than so many make no difference.
const CROWD: (f64, f64) = (32.0, 64.0);
/// After so long without a newcomer, another trial begins.
const OVER_AFTER: Duration = Duration::from_secs(10);
/// Multiples of the golden ratio spread evenly, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Mails in trial, by what was said to them.
#[derive(Debug, Default)]
pub(super) struct Trials(Vec<Crowd>);

#[derive(Debug)]
struct Crowd {
    kind: Kind,
    mails: f64,
    refusals: f64,
    last: Instant,
}

impl Trials {
    /// A mail was refused, after so many tries before. `None`: its trial is over.
    pub(super) fn wait(&mut self, kind: Kind, tries: usize, now: Instant) -> Option<Duration> {
        let wait = WAITS.get(tries)?;
        let crowd = self.crowd(kind, now);
        if tries == 0 {
            (crowd.mails, crowd.last) = (crowd.mails + 1.0, now);
        }
        let others = (crowd.mails - 1.0).clamp(0.0, CROWD.1);
        let spread = 0.5 + (crowd.refusals * GOLDEN).fract();
        crowd.refusals += 1.0;
        Some(wait.mul_f64(1.0 + others / CROWD.0 * spread))
    }

    /// A mail in trial was taken.
    pub(super) fn taken(&mut self, kind: Kind) {
        for crowd in self.0.iter_mut().filter(|crowd| crowd.kind == kind) {
            crowd.mails = (crowd.mails - 1.0).max(0.0);
        }
    }

    /// It is known now.
    pub(super) fn over(&mut self, kind: Kind) {
        self.0.retain(|crowd| crowd.kind != kind);
    }

    fn crowd(&mut self, kind: Kind, now: Instant) -> &mut Crowd {
        self.0.retain(|crowd| now <= crowd.last + OVER_AFTER);
        let known = self.0.iter().position(|crowd| crowd.kind == kind);
        let at = known.unwrap_or_else(|| {
            if self.0.len() == KINDS {
                self.0.remove(0);
            }
            self.0.push(Crowd { kind, mails: 0.0, refusals: 0.0, last: now });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Stage;

    const LATER: Kind = Kind { stage: Stage::Rcpt, code: 450, enhanced: Some((4, 7, 1)) };

    #[test]
    fn a_mail_that_is_alone_waits_no_longer_for_its_tries() {
        let (mut trials, now) = (Trials::default(), Instant::now());
        let waits = [0, 1, 2, 3].map(|tries| trials.wait(LATER, tries, now));
        assert_eq!(waits, [Some(WAITS[0]), Some(WAITS[1]), Some(WAITS[2]), None]);
    }

    #[test]
    fn a_crowd_waits_longer_and_is_spread() {
        let (mut trials, now) = (Trials::default(), Instant::now());
        (0..33).for_each(|_| assert!(trials.wait(LATER, 0, now).is_some()));
        let mut waits: Vec<_> = (0..33).map(|_| trials.wait(LATER, 1, now).unwrap()).collect();
        waits.sort_unstable();
        assert!(waits[0] >= WAITS[1].mul_f64(1.5) && waits[32] <= WAITS[1].mul_f64(2.5), "{waits:?}");
        let widest = waits.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest < Duration::from_millis(60), "{widest:?} without a try: {waits:?}");
    }

    #[test]
    fn mails_that_were_taken_are_no_part_of_the_crowd() {
        let (mut trials, now) = (Trials::default(), Instant::now());
        for _ in 0..50 {
            assert_eq!(trials.wait(LATER, 0, now), Some(WAITS[0]));
            trials.taken(LATER);
        }
    }

    #[test]
    fn another_kind_and_another_trial_begin_anew_and_what_is_kept_is_bounded() {
        let (mut trials, now) = (Trials::default(), Instant::now());
        let many = |trials: &mut Trials| (0..50).for_each(|_| assert!(trials.wait(LATER, 0, now).is_some()));
        many(&mut trials);
        assert_eq!(trials.wait(Kind { code: 451, ..LATER }, 0, now), Some(WAITS[0]));
        let later = now + OVER_AFTER + Duration::from_millis(1);
        assert_eq!(trials.wait(LATER, 0, later), Some(WAITS[0]));
        many(&mut trials);
        trials.over(LATER);
        assert_eq!(trials.wait(LATER, 0, now), Some(WAITS[0]));
        (400..499).for_each(|code| assert!(trials.wait(Kind { code, ..LATER }, 0, now).is_some()));
        assert_eq!(trials.0.len(), KINDS);
    }
}
