//! What time it is, by the database's clock: the one that all workers share.
//!
//! A task's age decides whether it may still be sent, and a worker whose own clock is days off would judge it wrongly. So the time
//! is the database's when it was last asked, and what has passed since then by the clock of this machine that nobody sets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The database's clock, as it is known here. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseClock(Arc<Mutex<Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    at: Instant,
    time: SystemTime,
}

impl DatabaseClock {
    /// At this moment it was so many seconds after 1970 there. Ages are counted in seconds: the way of the answer does not matter.
    pub(crate) fn learnt(at: Instant, seconds: f64) -> Self {
        let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let time = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
        Self(Arc::new(Mutex::new(Known { at, time })))
    }

    /// The time now.
    pub(crate) fn now(&self) -> SystemTime {
        let Known { at, time } = self.known();
        time + at.elapsed()
    }

    /// What was learnt later counts from now on.
    pub(crate) fn correct(&self, later: &Self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = later.known();
    }

    fn known(&self) -> Known {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_from_what_was_learnt_last() {
        let clock = DatabaseClock::learnt(Instant::now(), 1_000.0);
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(clock.now(), at(1_000));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(), at(1_060));
        let shared = clock.clone();
        clock.correct(&DatabaseClock::learnt(Instant::now(), 500.0));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(shared.now(), at(501));
    }

    #[test]
    fn a_clock_that_makes_no_sense_is_the_beginning_of_time() {
        for seconds in [f64::NAN, -1.0, f64::INFINITY] {
            let clock = DatabaseClock::learnt(Instant::now(), seconds).known().time;
            assert_eq!(clock, SystemTime::UNIX_EPOCH, "{seconds}");
        }
    }
}
