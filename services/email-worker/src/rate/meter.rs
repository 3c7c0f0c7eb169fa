//! How many mails the server took in each of the last sixty seconds. No I/O, no clock.

use std::time::Duration;

use super::learnt::Taken;

const KEPT: usize = 60;

/// Counts by second; times are those since the worker began.
#[derive(Debug)]
pub(super) struct Meter {
    seconds: [u32; KEPT],
    newest: u64,
    first: Option<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { seconds: [0; KEPT], newest: 0, first: None }
    }
}

impl Meter {
    pub(super) fn count(&mut self, at: Duration) {
        self.turn(at.as_secs());
        self.first.get_or_insert(at.as_secs());
        self.seconds[place(self.newest)] += 1;
    }

    /// The last second's count is made up of this second so far, and as much of the one before as is missing.
    pub(super) fn taken(&mut self, at: Duration) -> Taken {
        self.turn(at.as_secs());
        let into = f64::from(at.subsec_nanos()) / 1e9;
        let before = self.newest.checked_sub(1).map_or(0, |second| self.seconds[place(second)]);
        let oldest = self.newest.saturating_sub(KEPT as u64 - 1).max(self.first.unwrap_or(self.newest));
        Taken {
            second: f64::from(self.seconds[place(self.newest)]) + f64::from(before) * (1.0 - into),
            minute: self.seconds.iter().map(|count| f64::from(*count)).sum(),
            since: (self.newest - oldest) as f64 + into,
        }
    }

    fn turn(&mut self, second: u64) {
        for passed in (self.newest + 1..=second).take(KEPT) {
            self.seconds[place(passed)] = 0;
        }
        self.newest = self.newest.max(second);
    }
}

fn place(second: u64) -> usize {
    // Below 60.
    usize::try_from(second % KEPT as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(counts: &[(f64, u32)]) -> Meter {
        let mut meter = Meter::default();
        for (at, count) in counts {
            (0..*count).for_each(|_| meter.count(Duration::from_secs_f64(*at)));
        }
        meter
    }

    #[test]
    fn the_last_second_and_the_last_minute_are_counted() {
        for (counts, at, second, minute, since) in [
            (&[][..], 5.5, 0.0, 0.0, 0.5),
            (&[(0.1, 4)], 0.5, 4.0, 4.0, 0.5),
            (&[(0.1, 4), (1.2, 3)], 1.75, 4.0, 7.0, 1.75),
            (&[(10.0, 8), (12.0, 1)], 12.5, 1.0, 9.0, 2.5),
            (&[(0.0, 5), (59.0, 1)], 61.0, 0.0, 1.0, 59.0),
            (&[(0.0, 5)], 1_000.5, 0.0, 0.0, 59.5),
        ] {
            let expected = Taken { second, minute, since };
            assert_eq!(meter(counts).taken(Duration::from_secs_f64(at)), expected, "{counts:?} at {at}");
        }
    }
}
