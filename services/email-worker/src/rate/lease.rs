//! The moments that this worker has leased and not yet handed out, and how many to lease next. No I/O.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::row::longest_lease;

/// How late a moment may be used at least: timers and threads are no more exact.
const LEAST_TOLERANCE: Duration = Duration::from_millis(25);
/// And at most.
const MOST_TOLERANCE: Duration = Duration::from_secs(60);
/// Of a probe.
const PROBE_TOLERANCE: Duration = Duration::from_secs(1);
/// A moment is handed out so much before it at most, so that what must be right at the moment can be made so.
const LONGEST_LEAD: Duration = Duration::from_millis(500);

/// Where many workers want moments, a lease has this part of them at most.
const CONTENDED: u32 = 3;

/// A moment of the fleet's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: Instant,
    /// To the next one of the fleet.
    pub(super) spacing: Duration,
    /// What the fleet had learnt when it was leased.
    pub(super) episode: i64,
    /// Does it ask whether the server takes mails again?
    pub(super) probe: bool,
}

impl Moment {
    /// How late it may be used: a twentieth of the spacing, so that a slow fleet loses none to a slow answer. Later it is
    /// expired, never saved up, which bounds what a burst can hold.
    pub(super) fn tolerance(&self) -> Duration {
        if self.probe {
            // Everybody waits for it, and nobody else sends.
            return PROBE_TOLERANCE;
        }
        (self.spacing / 20).clamp(LEAST_TOLERANCE, MOST_TOLERANCE)
    }

    /// When it is handed out: before its moment where there is time between two.
    fn due(&self) -> Instant {
        self.at.checked_sub((self.spacing / 2).min(LONGEST_LEAD)).unwrap_or(self.at)
    }

    /// From then on it is not handed out, so that it is still good when it is used.
    fn too_late(&self) -> Instant {
        self.at + self.tolerance() * 4 / 5
    }
}

#[derive(Debug)]
pub(super) struct Lease {
    size: u32,
    largest: u32,
    moments: VecDeque<Moment>,
    // When the last moment that was leased may be used at the latest.
    end: Option<Instant>,
    wasted: bool,
    contended: bool,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self { size: 1, largest: 1, moments: VecDeque::new(), end: None, wasted: false, contended: false }
    }

    /// How many to lease now: twice as many when the last lease was taken up and more are wanted right after it, half as
    /// many when some of it was wasted; fewer where many workers want them, so that each gets its share.
    pub(super) fn next_size(&mut self, now: Instant) -> u32 {
        if self.wasted {
            self.size = (self.size / 2).max(1);
        } else if self.end.is_some_and(|end| now <= end) {
            self.size = self.size.saturating_mul(2);
        }
        let largest = if self.contended { (self.largest / CONTENDED).max(1) } else { self.largest };
        self.size = self.size.min(largest);
        (self.wasted, self.contended) = (false, false);
        self.size
    }

    /// There was nothing to lease: others were faster.
    pub(super) fn others_were_faster(&mut self) {
        self.contended = true;
    }

    /// Is it time to lease more for `waiting` waiters? Ahead of need, so that a round trip, even a slow one, costs no moment:
    /// when three quarters of a lease or less are left.
    pub(super) fn is_low(&self, waiting: usize) -> bool {
        waiting > 0 && self.moments.len() <= self.size as usize * 3 / 4
    }

    /// Takes in a lease of `count` moments, the first of which is `first`.
    pub(super) fn add(&mut self, count: u32, first: Moment) {
        self.moments.extend((0..count).map(|i| Moment { at: first.at + first.spacing * i, ..first }));
        self.end = self.moments.back().map(|last| last.at + last.tolerance());
        self.largest = longest_lease(1.0 / first.spacing.as_secs_f64().max(1e-6));
    }

    /// The next moment, if it is time to hand it out.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Moment> {
        self.moments.pop_front_if(|moment| moment.due() <= now)
    }

    /// Back to where it was taken from.
    pub(super) fn put_back(&mut self, moment: Moment) {
        let place = self.moments.partition_point(|other| other.at < moment.at);
        self.moments.insert(place, moment);
    }

    /// Drops the moments that are too late; returns how many.
    pub(super) fn drop_late(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.moments.pop_front_if(|moment| moment.too_late() < now).is_some() {
            dropped += 1;
        }
        self.wasted |= dropped > 0;
        dropped
    }

    /// Drops all of them: the server said no to their speed. Returns how many.
    pub(super) fn clear(&mut self) -> u64 {
        let dropped = self.moments.len() as u64;
        self.moments.clear();
        (self.size, self.end) = (1, None);
        dropped
    }

    /// When the next moment is to be handed out.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.moments.front().map(Moment::due)
    }

    pub(super) fn len(&self) -> usize {
        self.moments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn moment(at: Instant, per_second: u32) -> Moment {
        Moment { at, spacing: Duration::from_secs(1) / per_second, episode: 0, probe: false }
    }

    #[test]
    fn leases_double_while_they_are_used_up_and_halve_when_moments_are_wasted() {
        let now = Instant::now();
        let mut lease = Lease::new();
        let mut sizes = Vec::new();
        for _ in 0..7 {
            let size = lease.next_size(now);
            sizes.push(size);
            lease.add(size, moment(now, 200));
            while lease.take_due(now + 200 * MS).is_some() {}
        }
        assert_eq!(sizes, [1, 2, 4, 8, 10, 10, 10], "up to 50 ms of the rate");
        lease.add(10, moment(now, 200));
        assert!(lease.drop_late(now + 60 * MS) > 0);
        assert_eq!(lease.next_size(now + 60 * MS), 5);
        assert_eq!(lease.next_size(now + 60 * MS), 10);
        assert_eq!(lease.next_size(now + 500 * MS), 10, "nobody wanted more for a while: it stays as it is");
        lease.others_were_faster();
        assert_eq!(lease.next_size(now + 500 * MS), 3, "many want them");
        lease.add(3, moment(now + 500 * MS, 200));
        assert_eq!(lease.next_size(now + 510 * MS), 6, "nobody else does any more");
    }

    #[test]
    fn moments_are_evenly_spaced_from_the_one_that_the_database_names() {
        let now = Instant::now();
        let mut lease = Lease::new();
        lease.add(3, moment(now + 500 * MS, 100));
        assert_eq!(lease.take_due(now + 494 * MS), None);
        let moments: Vec<_> = std::iter::from_fn(|| lease.take_due(now + 600 * MS)).map(|moment| moment.at).collect();
        assert_eq!(moments, [now + 500 * MS, now + 510 * MS, now + 520 * MS]);
    }

    #[test]
    fn a_moment_is_handed_out_ahead_where_there_is_time_and_at_its_moment_where_there_is_none() {
        let now = Instant::now();
        for (spacing, ahead, tolerance) in [
            (Duration::from_secs(3_600), 500 * MS, Duration::from_secs(60)),
            (Duration::from_secs(1), 500 * MS, 50 * MS),
            (70 * MS, 35 * MS, 25 * MS),
            (MS / 5, MS / 10, 25 * MS),
        ] {
            let moment = Moment { at: now + 1_000 * MS, spacing, episode: 0, probe: false };
            assert_eq!(moment.at - moment.due(), ahead, "{spacing:?}");
            assert_eq!(moment.tolerance(), tolerance, "{spacing:?}");
        }
    }

    #[test]
    fn late_moments_are_dropped_and_good_ones_kept_in_their_order() {
        let now = Instant::now();
        let mut lease = Lease::new();
        lease.add(5, moment(now, 100));
        assert_eq!(lease.drop_late(now + 20 * MS), 0);
        assert_eq!(lease.drop_late(now + 35 * MS), 2);
        let (first, second) = (lease.take_due(now + 35 * MS).unwrap(), lease.take_due(now + 35 * MS).unwrap());
        lease.put_back(second);
        lease.put_back(first);
        assert_eq!(lease.take_due(now + 35 * MS), Some(first));
        assert_eq!(lease.len(), 2);
        assert_eq!(lease.clear(), 2);
    }

    #[test]
    fn what_is_put_back_has_its_place_again() {
        let now = Instant::now();
        let mut lease = Lease::new();
        assert_eq!(lease.next_due(), None);
        lease.add(4, moment(now + 500 * MS, 100));
        assert_eq!(lease.next_due(), Some(now + 495 * MS));
        let taken: Vec<_> = std::iter::from_fn(|| lease.take_due(now + 516 * MS)).collect();
        assert_eq!((taken.len(), lease.next_due()), (3, Some(now + 525 * MS)));
        for n in [0, 2, 1] {
            lease.put_back(taken[n]);
        }
        let again: Vec<_> = std::iter::from_fn(|| lease.take_due(now + 516 * MS)).collect();
        assert_eq!(again, taken);
    }

    #[test]
    fn a_lease_of_which_nothing_was_late_was_not_wasted() {
        let now = Instant::now();
        let mut lease = Lease::new();
        lease.size = 4;
        lease.add(4, moment(now, 1_000));
        assert_eq!(lease.drop_late(now), 0);
        assert_eq!(lease.next_size(now), 8);
    }

    #[test]
    fn more_is_leased_when_somebody_waits_and_three_quarters_of_a_lease_are_left() {
        let now = Instant::now();
        let mut lease = Lease::new();
        assert!(lease.is_low(1) && !lease.is_low(0));
        lease.size = 10;
        lease.add(10, moment(now, 1_000));
        assert!(!lease.is_low(16));
        for _ in 0..3 {
            lease.take_due(now + 10 * MS);
        }
        assert!(lease.is_low(16) && !lease.is_low(0));
    }
}
