//! The slots that this worker has leased and not yet handed out, and how many to lease next. No I/O.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::TOLERANCE;

/// A lease is at most so much of the fleet's rate, so that no worker sits on slots that another could use.
const LONGEST_LEASE: Duration = Duration::from_millis(100);

/// A slot is handed out no later than this, so that it is still fresh when it is used.
const HANDED_OUT_WITHIN: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Supply {
    spacing: Duration,
    largest: u32,
    size: u32,
    slots: VecDeque<Instant>,
    // When the last slot that was leased is, or was.
    end: Option<Instant>,
    wasted: bool,
}

impl Supply {
    pub(super) fn new(mails_per_second: u32) -> Self {
        let largest = f64::from(mails_per_second) * LONGEST_LEASE.as_secs_f64();
        // At most a tenth of a u32.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let largest = (largest as u32).max(1);
        let spacing = Duration::from_secs(1) / mails_per_second.max(1);
        Self { spacing, largest, size: 1, slots: VecDeque::new(), end: None, wasted: false }
    }

    pub(super) fn spacing(&self) -> Duration {
        self.spacing
    }

    /// How many to lease now: twice as many when the last lease was taken up and more are wanted right after it, half as
    /// many when some of it was wasted.
    pub(super) fn next_size(&mut self, now: Instant) -> u32 {
        if self.wasted {
            self.size = (self.size / 2).max(1);
        } else if self.end.is_some_and(|end| now <= end + TOLERANCE) {
            self.size = (self.size * 2).min(self.largest);
        }
        self.wasted = false;
        self.size
    }

    /// Is it time to lease more for `waiting` waiters? Ahead of need, so that the round trip costs no slot: when half
    /// a lease or less is left.
    pub(super) fn is_low(&self, waiting: usize) -> bool {
        waiting > 0 && self.slots.len() <= self.size as usize / 2
    }

    /// Takes in a lease of `count` slots, the first at `first`.
    pub(super) fn add(&mut self, count: u32, first: Instant) {
        self.slots.extend((0..count).map(|i| first + self.spacing * i));
        self.end = self.slots.back().copied();
    }

    /// Is the next slot's moment there?
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.slots.front().is_some_and(|moment| *moment <= now)
    }

    /// The next slot.
    pub(super) fn take(&mut self) -> Option<Instant> {
        self.slots.pop_front()
    }

    /// Back to where it was taken from.
    pub(super) fn put_back(&mut self, moment: Instant) {
        self.slots.push_front(moment);
    }

    /// Drops the slots that are too late; returns how many.
    pub(super) fn drop_late(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.slots.front().is_some_and(|moment| *moment + HANDED_OUT_WITHIN < now) {
            self.slots.pop_front();
            dropped += 1;
        }
        self.wasted |= dropped > 0;
        dropped
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.slots.front().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn leases_double_while_they_are_used_up_and_halve_when_slots_are_wasted() {
        let now = Instant::now();
        let mut supply = Supply::new(200);
        let mut sizes = Vec::new();
        for _ in 0..7 {
            let size = supply.next_size(now);
            sizes.push(size);
            supply.add(size, now);
            while supply.take().is_some() {}
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 20, 20], "up to 100 ms of the rate");
        supply.add(20, now);
        assert!(supply.drop_late(now + 60 * MS) > 0);
        assert_eq!(supply.next_size(now + 60 * MS), 10);
        assert_eq!(supply.next_size(now + 60 * MS), 20);
        assert_eq!(supply.next_size(now + 500 * MS), 20, "nobody wanted more for a while: it stays as it is");
    }

    #[test]
    fn slots_are_evenly_spaced_from_the_moment_that_the_database_names() {
        let now = Instant::now();
        let mut supply = Supply::new(100);
        supply.add(3, now + 500 * MS);
        assert!(!supply.is_due(now + 499 * MS) && supply.is_due(now + 500 * MS));
        let slots: Vec<_> = std::iter::from_fn(|| supply.take()).collect();
        assert_eq!(slots, [now + 500 * MS, now + 510 * MS, now + 520 * MS]);
    }

    #[test]
    fn late_slots_are_dropped_and_good_ones_kept() {
        let now = Instant::now();
        let mut supply = Supply::new(100);
        supply.add(5, now);
        assert_eq!(supply.drop_late(now + 20 * MS), 0);
        assert_eq!(supply.drop_late(now + 35 * MS), 2);
        assert_eq!(supply.len(), 3);
    }

    #[test]
    fn more_is_leased_when_somebody_waits_and_half_of_a_lease_is_left() {
        let now = Instant::now();
        let mut supply = Supply::new(1_000);
        assert!(supply.is_low(1) && !supply.is_low(0));
        supply.size = 10;
        supply.add(10, now);
        assert!(!supply.is_low(16));
        for _ in 0..5 {
            supply.take();
        }
        assert!(supply.is_low(16) && !supply.is_low(0));
    }
}
