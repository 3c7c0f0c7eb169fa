//! Ways to look at arrivals.

use std::time::{Duration, Instant};

/// For every arrival that is to be judged, how many came in the window that ends with it, sorted.
pub fn windows(arrivals: &[Instant], length: Duration, judged: impl Fn(Instant) -> bool) -> Vec<usize> {
    let mut first = 0;
    let mut counts: Vec<usize> = arrivals
        .iter()
        .enumerate()
        .filter_map(|(last, at)| {
            while *at - arrivals[first] >= length {
                first += 1;
            }
            judged(*at).then_some(last - first + 1)
        })
        .collect();
    counts.sort_unstable();
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_what_came_within_its_length() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(
            windows(&[at(0), at(400), at(900), at(1_000), at(1_200)], Duration::from_secs(1), |_| true),
            [1, 2, 3, 3, 4]
        );
    }
}
