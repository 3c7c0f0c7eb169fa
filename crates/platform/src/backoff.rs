//! Waiting longer after each failure, at random, so that a fleet does not come back in step.

use std::time::Duration;

use rand::RngExt as _;

/// Delays for one thing that is tried again and again.
///
/// Each delay is drawn evenly from `min..=ceiling`; the ceiling starts at twice `min` and doubles up to `max`.
/// Never shorter than `min`, so that no failure becomes a hot loop.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Delays between `min` and `max`. A `max` below `min` counts as `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let max = max.max(min);
        Self { min, max, ceiling: first_ceiling(min, max) }
    }

    /// How long to wait before the next try.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(2).min(self.max);
        rand::rng().random_range(self.min..=ceiling)
    }

    /// Starts over: call it when a try has succeeded.
    pub fn reset(&mut self) {
        self.ceiling = first_ceiling(self.min, self.max);
    }
}

fn first_ceiling(min: Duration, max: Duration) -> Duration {
    min.saturating_mul(2).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn delays_stay_within_bounds_and_the_ceiling_doubles() {
        for _ in 0..200 {
            let mut backoff = Backoff::new(100 * MS, 1_000 * MS);
            for ceiling in [200, 400, 800, 1_000, 1_000, 1_000] {
                let delay = backoff.next_delay();
                assert!(delay >= 100 * MS && delay <= ceiling * MS, "{delay:?} is not in 100ms..={ceiling}ms");
            }
        }
    }

    #[test]
    fn delays_are_spread_over_the_whole_range() {
        let mut seen = Vec::new();
        for _ in 0..400 {
            let mut backoff = Backoff::new(100 * MS, 200 * MS);
            seen.push(backoff.next_delay());
        }
        assert!(seen.iter().any(|d| *d < 120 * MS), "nothing near the lower end");
        assert!(seen.iter().any(|d| *d > 180 * MS), "nothing near the upper end");
    }

    #[test]
    fn a_reset_starts_over() {
        let mut backoff = Backoff::new(MS, 10_000 * MS);
        for _ in 0..20 {
            backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= 2 * MS);
    }

    #[test]
    fn odd_bounds_do_no_harm() {
        assert_eq!(Backoff::new(5 * MS, MS).next_delay(), 5 * MS);
        assert_eq!(Backoff::new(Duration::ZERO, Duration::ZERO).next_delay(), Duration::ZERO);
        Backoff::new(Duration::MAX, Duration::MAX).next_delay();
    }
}
