//! Workers that were given different ceilings, and which one holds. No I/O, no clock.
//!
//! Each worker says now and then what its `MAIL_RATE` is; the lowest of those that were said of late holds for all. So a
//! rollout that lowers it is in force with its first pod, and one that raises it with the end of its last old one: the mail
//! server never gets more than anybody who is alive allows.

use serde::{Deserialize, Serialize};

use super::learnt::Seconds;
use super::pace::Rate;

/// A worker says it so often, if no other one with the same setting does.
const SAID_EVERY: Seconds = 5.0;
/// One that was silent for so long is gone: longer than several looks at the row, see [`super::limiter`].
pub(super) const ALIVE_FOR: Seconds = 30.0;
/// More different settings than this are kept of no fleet; the lowest count.
const MOST: usize = 16;
/// Two that differ by less are one: it has been text meanwhile.
const ALIKE: f64 = 1e-6;

/// The settings of the workers that are alive, in mails a second, each with when it was said last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ceilings(Vec<(f64, Seconds)>);

impl Ceilings {
    /// A worker with this ceiling is alive; without one it has nothing to say.
    pub(super) fn said(&mut self, own: Option<Rate>, now: Seconds) {
        // Also what is far ahead: the clock was set back.
        self.0.retain(|(_, at)| (now - at).abs() < ALIVE_FOR);
        let Some(own) = own.map(Rate::mails_per_second) else { return };
        match self.0.iter_mut().find(|(rate, _)| is_alike(*rate, own)) {
            Some((_, at)) if now < *at + SAID_EVERY => {}
            Some((_, at)) => *at = now,
            None => {
                self.0.push((own, now));
                self.0.sort_by(|one, other| one.0.total_cmp(&other.0));
                self.0.truncate(MOST);
            }
        }
    }

    /// Which one holds for a worker with this setting.
    pub(super) fn binding(&self, own: Option<Rate>) -> Option<Rate> {
        let lowest = self.0.iter().map(|(rate, _)| *rate).reduce(f64::min).map(Rate::per_second);
        match (own, lowest) {
            (Some(own), Some(lowest))
                if lowest < own && !is_alike(lowest.mails_per_second(), own.mails_per_second()) =>
            {
                Some(lowest)
            }
            (Some(own), _) => Some(own),
            (None, lowest) => lowest,
        }
    }
}

fn is_alike(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() < ALIKE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: f64) -> Option<Rate> {
        (per_second > 0.0).then(|| Rate::per_second(per_second))
    }

    /// Settings as they are said, 0 for none, each with its moment; then what binds a worker with each setting at the end.
    #[test]
    fn the_lowest_of_those_who_are_alive_holds() {
        for (name, said, now, expected) in [
            ("nobody said any", &[(0.0, 0.0)][..], 1.0, &[(0.0, 0.0), (50.0, 50.0)][..]),
            ("all say the same", &[(50.0, 0.0), (50.0, 1.0)], 2.0, &[(50.0, 50.0)]),
            ("two differ", &[(50.0, 0.0), (5.0, 1.0)], 2.0, &[(50.0, 5.0), (5.0, 5.0)]),
            ("in another order", &[(5.0, 0.0), (50.0, 1.0)], 2.0, &[(50.0, 5.0), (5.0, 5.0)]),
            ("one has none", &[(5.0, 0.0), (0.0, 1.0)], 2.0, &[(0.0, 5.0)]),
            ("mine is lower than all that were said", &[(50.0, 0.0)], 1.0, &[(5.0, 5.0)]),
            ("it is gone just now", &[(5.0, 0.0)], 30.0, &[(50.0, 50.0)]),
            ("the lowest is gone", &[(5.0, 0.0), (50.0, 20.0)], 31.0, &[(50.0, 50.0), (0.0, 50.0)]),
            ("it was said again", &[(5.0, 0.0), (5.0, 20.0)], 31.0, &[(50.0, 5.0)]),
            ("the clock was set back", &[(5.0, 3_600.0)], 0.0, &[(50.0, 50.0)]),
        ] {
            let mut ceilings = Ceilings::default();
            for (per_second, at) in said {
                ceilings.said(rate(*per_second), *at);
            }
            ceilings.said(None, now);
            for (own, holds) in expected {
                assert_eq!(ceilings.binding(rate(*own)), rate(*holds), "{name}: {own}");
            }
        }
    }

    #[test]
    fn it_is_written_now_and_then_and_not_each_time() {
        let mut ceilings = Ceilings::default();
        let changes = (0..100).filter(|n| {
            let before = ceilings.clone();
            ceilings.said(rate(5.0), f64::from(*n) * 0.1);
            ceilings != before
        });
        assert_eq!(changes.collect::<Vec<_>>(), [0, 50], "at 0 and 5 s");
    }

    #[test]
    fn what_was_text_meanwhile_is_still_the_same() {
        let own = Some("2000/h".parse::<super::super::Ceiling>().unwrap().rate().unwrap());
        let mut ceilings = Ceilings::default();
        ceilings.said(own, 0.1 + 0.2);
        let mut read: Ceilings = serde_json::from_str(&serde_json::to_string(&ceilings).unwrap()).unwrap();
        read.said(own, 1.0);
        assert_eq!((read.0.len(), read.binding(own)), (1, own));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_lowest() {
        let mut ceilings = Ceilings::default();
        (1..1_000).rev().for_each(|n| ceilings.said(rate(f64::from(n)), 0.0));
        assert_eq!((ceilings.0.len(), ceilings.binding(None)), (MOST, rate(1.0)));
    }
}
