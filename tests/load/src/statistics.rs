//! Figures from many figures.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// A histogram of latencies, 1 us to 10 min, to three digits.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// Of these.
    pub fn of(latencies: impl IntoIterator<Item = Duration>) -> Self {
        let mut histogram = Histogram::new_with_bounds(1, 600_000_000, 3).unwrap();
        for latency in latencies {
            histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
        }
        Self(histogram)
    }

    /// The latency, in milliseconds, that this share (0 to 1) did not exceed; 0 when there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }

    /// The longest, in milliseconds.
    pub fn max(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The one in the middle.
///
/// # Panics
/// When there are none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How many moments fall into each second after `start`, as points for a picture: the middle of the second, and the count.
pub fn per_second(start: Instant, moments: impl IntoIterator<Item = Instant>) -> Vec<(f64, f64)> {
    let mut counts: Vec<f64> = Vec::new();
    for moment in moments {
        let second = usize::try_from(moment.saturating_duration_since(start).as_secs()).unwrap();
        if counts.len() <= second {
            counts.resize(second + 1, 0.0);
        }
        counts[second] += 1.0;
    }
    counts.into_iter().enumerate().map(|(second, count)| (second as f64 + 0.5, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_latencies() {
        let latencies = Latencies::of((1..=1_000).map(Duration::from_millis));
        for (share, want) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let got = latencies.quantile(share);
            assert!((got - want).abs() / want < 0.002, "{share}: {got}, want {want}");
        }
        assert_eq!(Latencies::of([]).quantile(0.99), 0.0);
    }

    #[test]
    fn moments_are_counted_by_second() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(per_second(start, [at(0), at(999), at(2_500)]), [(0.5, 2.0), (1.5, 0.0), (2.5, 1.0)]);
    }
}
