//! Who may join the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Assumed until the first hash has been measured.
const FIRST_GUESS: Duration = Duration::from_millis(20);

/// The wait for a hash would pass its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub struct Overloaded {
    /// When it may be worth trying again: whole seconds, at least one.
    pub retry_after: Duration,
}

/// Counts who waits and who is being served, and knows how long a hash takes.
#[derive(Debug)]
pub(super) struct Admission {
    threads: usize,
    max_wait: Duration,
    inside: AtomicUsize,
    /// Mean duration of a hash in nanoseconds, the last ones counting most.
    mean: AtomicU64,
}

/// How long the next to come waits for one of `threads`, when `inside` are there already.
fn predicted_wait(inside: usize, threads: usize, mean: Duration) -> Duration {
    // A thread becomes free every mean / threads.
    let to_end_before = u32::try_from((inside + 1).saturating_sub(threads)).unwrap_or(u32::MAX);
    mean.saturating_mul(to_end_before) / u32::try_from(threads.max(1)).unwrap_or(u32::MAX)
}

impl Admission {
    pub(super) fn new(threads: usize, max_wait: Duration) -> Self {
        let mean = AtomicU64::new(nanos(FIRST_GUESS));
        Self { threads, max_wait, inside: AtomicUsize::new(0), mean }
    }

    pub(super) fn look(&self) -> Result<(), Overloaded> {
        self.decide(self.inside.load(Relaxed))
    }

    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Overloaded> {
        let entered = self.inside.try_update(Relaxed, Relaxed, |inside| self.decide(inside).ok().map(|()| inside + 1));
        match entered {
            Ok(_) => Ok(Place { admission: Arc::clone(self) }),
            Err(inside) => Err(self.overloaded(inside)),
        }
    }

    /// The prediction is a mean of what went before. A quarter of the bound is left for what it does not know: in overload the queue
    /// is always as long as may be, and without room to spare half of those let in would wait for all of the bound, and then be refused.
    fn decide(&self, inside: usize) -> Result<(), Overloaded> {
        if self.wait(inside) > self.max_wait * 3 / 4 { Err(self.overloaded(inside)) } else { Ok(()) }
    }

    /// The answer for one who waited in vain.
    pub(super) fn overloaded_now(&self) -> Overloaded {
        self.overloaded(self.inside.load(Relaxed))
    }

    fn wait(&self, inside: usize) -> Duration {
        predicted_wait(inside, self.threads, Duration::from_nanos(self.mean.load(Relaxed)))
    }

    fn overloaded(&self, inside: usize) -> Overloaded {
        Overloaded { retry_after: Duration::from_secs(self.wait(inside).as_secs() + 1) }
    }
}

/// A place in the queue; dropping it leaves.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
}

impl Place {
    /// A thread was at one hash for so long.
    pub(super) fn took(&self, duration: Duration) {
        let sample = nanos(duration);
        // Two at once may lose one sample: it is a mean.
        let mean = self.admission.mean.load(Relaxed);
        self.admission.mean.store(mean - mean / 8 + sample / 8, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.inside.fetch_sub(1, Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_wait_grows_with_those_inside_and_shrinks_with_the_threads() {
        for (inside, threads, wait) in
            [(0, 2, 0), (1, 2, 0), (2, 2, 10), (3, 2, 20), (202, 2, 2_010), (5, 1, 100), (0, 0, 20)]
        {
            assert_eq!(predicted_wait(inside, threads, 20 * MS), wait * MS, "{inside} inside, {threads} threads");
        }
    }

    #[test]
    fn places_are_given_up_to_the_bound_and_again_when_somebody_leaves() {
        // 20 ms a hash, two threads, 30 of 40 ms may be predicted: the sixth would wait for four to end, 40 ms.
        let admission = Arc::new(Admission::new(2, 40 * MS));
        let mut places: Vec<_> = (0..5).map(|_| admission.enter().unwrap()).collect();
        assert!(admission.look().is_err());
        assert_eq!(admission.enter().unwrap_err(), Overloaded { retry_after: Duration::from_secs(1) });
        places.pop();
        assert!(admission.enter().is_ok());
    }

    #[test]
    fn hashes_may_be_a_third_slower_than_predicted_before_somebody_waits_in_vain() {
        let bound = 2_000 * MS;
        let admission = Arc::new(Admission::new(2, bound));
        let places: Vec<_> = std::iter::from_fn(|| admission.enter().ok()).collect();
        let last = places.len() - 1;
        assert!(predicted_wait(last, 2, FIRST_GUESS * 4 / 3) <= bound, "{last} wait before the last one");
        assert!(predicted_wait(last, 2, FIRST_GUESS) > bound / 2, "the bound is used: {last} wait before the last one");
    }

    #[test]
    fn slower_hashes_shorten_the_queue() {
        let admission = Arc::new(Admission::new(1, 100 * MS));
        let place = admission.enter().unwrap();
        assert!(admission.look().is_ok());
        for _ in 0..50 {
            place.took(400 * MS);
        }
        assert!(admission.look().is_err(), "400 ms a hash, and a wait of 100 ms was promised");
    }
}
