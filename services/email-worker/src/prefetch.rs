//! How many unacknowledged tasks a worker asks the broker for.
//!
//! A worker that hoards starves the workers beside it: with mails of two seconds, 512 tasks held by one worker are a minute
//! of work that an autoscaler's new workers cannot take. A worker that asks for too little starves itself: with mails of a
//! millisecond, acks travel in batches and the next task must already be here. So the prefetch follows the speed.

use std::time::Duration;

/// Work held ready beyond what is being sent.
const HORIZON: Duration = Duration::from_millis(100);

/// The prefetch for a worker with `slots` sending slots that finished `finished` tasks in the last `window`.
/// At least twice the slots, so that each has its next task at hand; at most `max`.
pub fn target(slots: u16, finished: u64, window: Duration, max: u16) -> u16 {
    let per_second = finished as f64 / window.as_secs_f64().max(f64::EPSILON);
    let ahead = (per_second * HORIZON.as_secs_f64()).ceil().clamp(0.0, f64::from(u16::MAX));
    // In range by the clamp.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let ahead = ahead as u16;
    slots.saturating_mul(2).saturating_add(ahead).clamp(1, max.max(1))
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
            assert_eq!(target(16, finished, second, 512), expected, "{why}");
        }
    }

    #[test]
    fn the_maximum_holds_even_below_the_slots() {
        assert_eq!(target(16, 0, Duration::from_secs(1), 10), 10);
        assert_eq!(target(16, 0, Duration::ZERO, 0), 1);
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
