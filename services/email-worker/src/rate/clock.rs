//! The database's clock, read from here. No I/O.
//!
//! An answer says what time it was at the database when it was made, and is older by as long as it travelled. The answer that
//! travelled shortest says most, so it is kept for a while: permits of one lease after the other then lie as evenly here as they
//! do in the database's row, however long each answer took.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long an answer is believed: clocks drift apart by a few milliseconds in this time at the most.
const KEPT: Duration = Duration::from_secs(10);

/// More than this beyond what an answer allows, and a clock was set.
const SLACK: f64 = 0.001;

/// What is known of the distance between the two clocks, in seconds.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    /// Upper bounds of the distance and when they were learnt; later ones are higher.
    bounds: VecDeque<(Instant, f64)>,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self { origin: now, bounds: VecDeque::new() }
    }

    /// Takes in an answer that said it was `database` (seconds since its epoch) somewhere between the two moments.
    pub(super) fn learn(&mut self, asked: Instant, answered: Instant, database: f64) {
        let most = self.seconds(answered) - database;
        let least = self.seconds(asked) - database;
        if self.bounds.front().is_some_and(|(_, bound)| is_impossible(*bound, least)) {
            // The database's clock was set back: what was learnt before is wrong.
            self.bounds.clear();
        }
        while self.bounds.back().is_some_and(|(_, bound)| *bound >= most) {
            self.bounds.pop_back();
        }
        self.bounds.push_back((answered, most));
        while self.bounds.front().is_some_and(|(learnt, _)| *learnt + KEPT < answered) {
            self.bounds.pop_front();
        }
    }

    /// The moment here that the database calls `database`; `None` before anything was learnt.
    pub(super) fn moment(&self, database: f64) -> Option<Instant> {
        let (_, distance) = self.bounds.front()?;
        let since = database + distance;
        let ahead = Duration::try_from_secs_f64(since.max(0.0)).ok()?;
        let behind = Duration::try_from_secs_f64((-since).max(0.0)).ok()?;
        self.origin.checked_add(ahead)?.checked_sub(behind)
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.origin).as_secs_f64()
    }
}

fn is_impossible(bound: f64, least: f64) -> bool {
    bound < least - SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A database whose clock reads 1,000 s more than the seconds since `origin`.
    fn database(origin: Instant, at: Instant) -> f64 {
        1_000.0 + (at - origin).as_secs_f64()
    }

    #[track_caller]
    fn assert_near(moment: Option<Instant>, expected: Instant) {
        let moment = moment.unwrap();
        let off = moment.max(expected) - moment.min(expected);
        assert!(off < Duration::from_micros(50), "{off:?} off");
    }

    #[test]
    fn a_slow_answer_does_not_move_what_a_quick_one_said() {
        let origin = Instant::now();
        let mut clock = Clock::new(origin);
        clock.learn(origin, origin + MS, database(origin, origin + MS));
        let later = origin + 500 * MS;
        // Made at `later`, it arrives 80 ms after.
        clock.learn(later, later + 80 * MS, database(origin, later));
        assert_near(clock.moment(database(origin, origin + 700 * MS)), origin + 700 * MS);
    }

    #[test]
    fn a_quick_answer_corrects_what_a_slow_one_said() {
        let origin = Instant::now();
        let mut clock = Clock::new(origin);
        clock.learn(origin, origin + 80 * MS, database(origin, origin));
        assert_near(clock.moment(database(origin, origin + 700 * MS)), origin + 780 * MS);
        let later = origin + 500 * MS;
        clock.learn(later, later + MS, database(origin, later + MS));
        assert_near(clock.moment(database(origin, origin + 700 * MS)), origin + 700 * MS);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_and_an_old_answer_forgotten() {
        let origin = Instant::now();
        let mut clock = Clock::new(origin);
        clock.learn(origin, origin + MS, database(origin, origin + MS));
        for step in [-5.0, 5.0] {
            let later = origin + 2_000 * MS;
            let set = database(origin, later) + step;
            clock.learn(later - MS, later, set);
            assert_near(clock.moment(set), later);
        }
        // What the quick answer said is believed for as long as it is kept, the last moment included.
        for (after, off) in [(KEPT, Duration::ZERO), (KEPT + MS, 30 * MS)] {
            let mut clock = Clock::new(origin);
            clock.learn(origin, origin + MS, database(origin, origin + MS));
            let later = origin + MS + after - 30 * MS;
            clock.learn(later, later + 30 * MS, database(origin, later));
            assert_near(clock.moment(database(origin, later)), later + off);
        }
    }
}
