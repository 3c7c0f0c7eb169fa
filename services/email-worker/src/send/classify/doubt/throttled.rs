//! Refused for the speed, however slowly the mails come: that is no speed, but an outage. No I/O.

use std::time::Duration;

use tokio::time::Instant;

/// So many refusals in a row, over so long: longer than a limit of so many mails a minute lasts.
const HOPELESS: (u32, Duration) = (3, Duration::from_secs(120));

/// Refusals for the speed since a mail was taken last.
#[derive(Debug, Default)]
pub(super) struct Throttled {
    since: Option<Instant>,
    refused: u32,
}

impl Throttled {
    /// A mail was taken.
    pub(super) fn taken(&mut self) {
        *self = Self::default();
    }

    /// A mail was refused for the speed. True: there is none at which they are taken.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.refused = self.refused.saturating_add(1);
        self.refused >= HOPELESS.0 && now >= since + HOPELESS.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_takes_none_for_minutes_takes_none_at_any_speed() {
        for (name, seconds, expected) in [
            ("a window of a minute", vec![0, 1, 2, 5, 30, 60, 70], false),
            ("for two minutes", vec![0, 60, 120], true),
            ("two refusals, far apart", vec![0, 3_600], false),
        ] {
            let (mut throttled, began) = (Throttled::default(), Instant::now());
            let last = seconds.iter().map(|at| throttled.refused(began + Duration::from_secs(*at))).last();
            assert_eq!(last, Some(expected), "{name}");
        }
    }

    #[test]
    fn a_mail_that_is_taken_begins_it_anew() {
        let (mut throttled, began) = (Throttled::default(), Instant::now());
        for _ in 0..10 {
            throttled.refused(began);
        }
        throttled.taken();
        assert!(!throttled.refused(began + HOPELESS.1));
    }
}
