//! How many unacknowledged tasks a worker asks the broker for.
//!
//! A worker that hoards starves the workers beside it: with mails of two seconds, 512 tasks held by one worker are a minute
//! of work that an autoscaler's new workers cannot take. A worker that asks for too little starves itself: with mails of a
//! millisecond, acks travel in batches and the next task must already be here. So the prefetch follows the speed.

use std::time::Duration;

use crate::rate::Rate;

/// Work held ready beyond what is being sent.
const HORIZON: Duration = Duration::from_millis(100);

/// A worker holds at most what the whole fleet may send in this time: more would only wait, longer than it may be held.
const LIMITED_HORIZON: Duration = Duration::from_secs(10);

/// The prefetch for a worker with `slots` sending slots that finished `finished` tasks in the last `window`.
/// At least twice the slots, so that each has its next task at hand; at most `max`, and what the fleet's rate lets go.
pub fn target(slots: u16, finished: u64, window: Duration, max: u16, rate: Option<Rate>) -> u16 {
    let per_second = finished as f64 / window.as_secs_f64().max(f64::EPSILON);
    let ahead = (per_second * HORIZON.as_secs_f64()).ceil().clamp(0.0, f64::from(u16::MAX));
    // In range by the clamp.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let ahead = ahead as u16;
    slots.saturating_mul(2).saturating_add(ahead).clamp(1, most(max, rate))
}

/// What a worker may hold of tasks that keep to this rate, `max` at most and one at least.
pub fn most(max: u16, rate: Option<Rate>) -> u16 {
    let allowed = rate.map_or(f64::from(max), |rate| rate.mails_per_second() * LIMITED_HORIZON.as_secs_f64());
    // In range by the clamp.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let allowed = allowed.ceil().clamp(1.0, f64::from(max.max(1))) as u16;
    allowed
}

/// Changing the prefetch means a new consumer: only a change by half is worth it.
pub fn worth_changing(current: u16, target: u16) -> bool {
    let (current, target) = (u32::from(current), u32::from(target));
    target * 2 >= current * 3 || target * 2 <= current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_asks_for_more_the_faster_it_sends() {
        let second = Duration::from_secs(1);
        for (finished, expected, why) in [
            (0, 32, "idle: two tasks a slot"),
            (8, 33, "mails of two seconds: hardly more than the slots"),
            (200, 52, "a limited rate"),
            (1_000, 132, "growing"),
            (5_000, 512, "full speed: the maximum"),
        ] {
            assert_eq!(target(16, finished, second, 512, None), expected, "{why}");
        }
    }

    #[test]
    fn the_speed_is_that_of_the_window() {
        for (finished, window, expected) in [(250, 250, 132), (1_000, 1_000, 132), (2_000, 2_000, 132), (0, 250, 32)] {
            let window = Duration::from_millis(window);
            assert_eq!(target(16, finished, window, 512, None), expected, "{finished} in {window:?}");
        }
    }

    #[test]
    fn the_maximum_holds_even_below_the_slots() {
        assert_eq!(target(16, 0, Duration::from_secs(1), 10, None), 10);
        assert_eq!(target(16, 0, Duration::ZERO, 0, None), 1);
    }

    #[test]
    fn a_slow_fleet_holds_no_more_than_it_can_send() {
        for (rate, expected, why) in
            [(1.0 / 3_600.0, 1, "one at least"), (1.0, 10, "ten seconds' worth"), (14.0, 32, "as without a limit")]
        {
            let held = target(16, 0, Duration::from_secs(1), 512, Some(Rate::per_second(rate)));
            assert_eq!(held, expected, "{rate} a second: {why}");
        }
    }

    #[test]
    fn small_changes_do_not_disturb_the_consumer() {
        for (current, target, worth) in
            [(32, 33, false), (32, 47, false), (32, 48, true), (512, 300, false), (512, 256, true)]
        {
            assert_eq!(worth_changing(current, target), worth, "{current} -> {target}");
        }
    }
}
