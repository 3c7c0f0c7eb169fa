//! The retry schedule: how long a failed mail waits before each further attempt.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use contract::Attempt;
use platform::config::duration;

/// Waits, each a queue of its own; the last is repeated. Written `5s,30s,2m,10m,1h`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

/// The text is no retry schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be waits of 10ms to 24h, growing, such as 5s,30s,2m,10m,1h")]
pub struct InvalidRetrySchedule;

impl RetrySchedule {
    const MIN: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_secs(24 * 3600);

    /// The waits, shortest first; never empty.
    pub fn delays(&self) -> &[Duration] {
        &self.0
    }

    /// The shortest wait, also for tasks that somebody else holds.
    pub fn first(&self) -> Duration {
        self.0.first().copied().unwrap_or(Self::MIN)
    }

    /// The wait of a mail that had failed `attempt` times before this failure, the first time at `first_failed`. The last wait is
    /// repeated until `give_up_after` has passed; then there is none.
    pub fn after(
        &self,
        attempt: Attempt,
        first_failed: SystemTime,
        now: SystemTime,
        give_up_after: Duration,
    ) -> Option<Duration> {
        // Clocks differ between workers: a failure in the future was just now.
        let failing_for = now.duration_since(first_failed).unwrap_or_default();
        let nth = usize::try_from(u32::from(attempt)).unwrap_or(usize::MAX);
        let delay = self.0.get(nth).or(self.0.last()).copied();
        delay.filter(|_| failing_for < give_up_after)
    }
}

impl FromStr for RetrySchedule {
    type Err = InvalidRetrySchedule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let delays: Result<Vec<Duration>, _> = text.split(',').map(|delay| duration(delay.trim())).collect();
        let delays = delays.map_err(|_| InvalidRetrySchedule)?;
        let growing = delays.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = delays.iter().all(|delay| (Self::MIN..=Self::MAX).contains(delay));
        if growing && in_range && !delays.is_empty() { Ok(Self(delays)) } else { Err(InvalidRetrySchedule) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_schedule_is_waits_that_grow() {
        let schedule: RetrySchedule = "5s, 30s,2m".parse().unwrap();
        assert_eq!(schedule.delays(), [5, 30, 120].map(Duration::from_secs));
        assert_eq!(schedule.first(), Duration::from_secs(5));
        let widest: RetrySchedule = "10ms,24h".parse().unwrap();
        assert_eq!(widest.delays(), [Duration::from_millis(10), Duration::from_secs(86_400)]);
        for text in ["", "5s,5s", "30s,5s", "never", "1ms", "9ms", "5s,,30s", "2d", "24h 1s", "5s,24h 1s"] {
            assert_eq!(text.parse::<RetrySchedule>(), Err(InvalidRetrySchedule), "{text:?}");
        }
    }

    #[test]
    fn the_last_wait_is_repeated_until_time_is_up() {
        let schedule: RetrySchedule = "5s,30s,2m".parse().unwrap();
        let day = Duration::from_secs(86_400);
        let now = SystemTime::UNIX_EPOCH + 100 * day;
        for (attempt, failing_for, expected) in [
            (0, 0, Some(5)),
            (1, 5, Some(30)),
            (2, 40, Some(120)),
            (3, 200, Some(120)),
            (700, 86_399, Some(120)),
            (700, 86_400, None),
            (1, 200_000, None),
            (u32::MAX, 0, Some(120)),
        ] {
            let first_failed = now - Duration::from_secs(failing_for);
            let delay = schedule.after(Attempt::from(attempt), first_failed, now, day);
            let expected = expected.map(Duration::from_secs);
            assert_eq!(delay, expected, "attempt {attempt}, failing for {failing_for} s");
        }
        let in_the_future = schedule.after(Attempt::from(1), now + day, now, day);
        assert_eq!(in_the_future, Some(Duration::from_secs(30)));
        assert_eq!(schedule.after(Attempt::default(), now, now, Duration::ZERO), None);
    }
}
