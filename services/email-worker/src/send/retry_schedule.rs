//! The retry ladder: how long a failed mail waits before each further attempt.

use std::str::FromStr;
use std::time::Duration;

use platform::config::duration;

/// Waits, each a queue of its own; the last is repeated. Written `5s,30s,2m,10m,1h`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder(Vec<Duration>);

/// The text is no ladder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be waits of 10ms to 24h, growing, such as 5s,30s,2m,10m,1h")]
pub struct InvalidLadder;

impl Ladder {
    const MIN: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_secs(24 * 3600);

    /// The waits, shortest first; never empty.
    pub fn rungs(&self) -> &[Duration] {
        &self.0
    }

    /// The shortest wait, also for tasks that somebody else holds.
    pub fn first(&self) -> Duration {
        self.0.first().copied().unwrap_or(Self::MIN)
    }
}

impl FromStr for Ladder {
    type Err = InvalidLadder;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rungs: Result<Vec<Duration>, _> = text.split(',').map(|rung| duration(rung.trim())).collect();
        let rungs = rungs.map_err(|_| InvalidLadder)?;
        let growing = rungs.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = rungs.iter().all(|rung| (Self::MIN..=Self::MAX).contains(rung));
        if growing && in_range && !rungs.is_empty() { Ok(Self(rungs)) } else { Err(InvalidLadder) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_is_waits_that_grow() {
        let ladder: Ladder = "5s, 30s,2m".parse().unwrap();
        assert_eq!(ladder.rungs(), [5, 30, 120].map(Duration::from_secs));
        assert_eq!(ladder.first(), Duration::from_secs(5));
        let widest: Ladder = "10ms,24h".parse().unwrap();
        assert_eq!(widest.rungs(), [Duration::from_millis(10), Duration::from_secs(86_400)]);
        for text in ["", "5s,5s", "30s,5s", "never", "1ms", "9ms", "5s,,30s", "2d", "24h 1s", "5s,24h 1s"] {
            assert_eq!(text.parse::<Ladder>(), Err(InvalidLadder), "{text:?}");
        }
    }
}
