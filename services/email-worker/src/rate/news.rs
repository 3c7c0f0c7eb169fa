//! What the log says about the rate in force: when it begins to be learnt, and when it has changed by much.

use super::learnt::Seconds;
use super::pace::Rate;
use super::row::{Row, Terms};

/// After so long without a refusal, the next one is news again.
const FORGOTTEN_AFTER: Seconds = 600.0;
/// A change by less is no news.
const MUCH: f64 = 1.25;
/// While it changes all the time, as it does on its way up, one by this much is.
const VERY_MUCH: f64 = 2.0;
/// And any that is much, so long after the last line.
const A_WHILE: Seconds = 60.0;

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct News {
    refused_at: Option<Seconds>,
    // And when.
    told: Option<(Rate, Seconds)>,
    // Another worker's ceiling, that holds for this one too.
    ceiling: Option<Rate>,
}

/// Something to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Line {
    /// The server said no to the speed for the first time, or after a long while.
    Throttled,
    /// The rate is now this.
    Changed(Rate),
    /// Nothing that was learnt holds the fleet back any more.
    Recovered,
}

impl News {
    /// Logs what is worth a line.
    pub(super) fn tell(&mut self, row: &Row, terms: Terms, now: Seconds) {
        let reason = row.learnt.reason.as_str();
        match self.line(row, terms, now) {
            None => {}
            Some(Line::Throttled) => tracing::warn!(
                reason,
                "the mail server takes no more mails at this speed: the fleet slows down and learns what it takes"
            ),
            Some(Line::Changed(rate)) => tracing::info!(%rate, reason, "the mail server's own limit: rate in force"),
            Some(Line::Recovered) => tracing::info!("the mail server takes mails as fast as they come again"),
        }
    }

    /// Logs that this worker is held to another one's ceiling, and that it is no more.
    pub(super) fn tell_ceiling(&mut self, own: Option<Rate>, binding: Option<Rate>) {
        let others = binding.filter(|_| binding != own);
        if others == self.ceiling {
            return;
        }
        self.ceiling = others;
        let own = own.map_or_else(|| "0".to_owned(), |own| own.to_string());
        match others {
            Some(holds) => tracing::warn!(
                own,
                %holds,
                "MAIL_RATE differs between workers: the lowest of those alive holds for the whole fleet; give all of them the \
                 same"
            ),
            None => tracing::info!(own, "the MAIL_RATE of this worker holds again"),
        }
    }

    fn line(&mut self, row: &Row, terms: Terms, now: Seconds) -> Option<Line> {
        if !terms.adapts || row.learnt.episode == 0 {
            return None;
        }
        let refused_at = row.learnt.refused_at;
        let first = self.refused_at.is_none_or(|last| refused_at > last + FORGOTTEN_AFTER);
        self.refused_at = Some(refused_at);
        if first && now < refused_at + FORGOTTEN_AFTER {
            self.told = None;
            return Some(Line::Throttled);
        }
        if row.learnt.pauses() {
            return None;
        }
        let learnt = row.learnt.rate().map(Rate::per_second);
        let learnt = learnt.filter(|learnt| terms.ceiling.is_none_or(|ceiling| *learnt < ceiling));
        let line = match (learnt, self.told) {
            (Some(rate), Some((told, at))) if !is_news(rate, told, now - at) => None,
            (Some(rate), _) => Some(Line::Changed(rate)),
            (None, Some(_)) => Some(Line::Recovered),
            (None, None) => None,
        };
        if line.is_some() {
            self.told = learnt.map(|rate| (rate, now));
        }
        line
    }
}

fn is_news(rate: Rate, told: Rate, ago: Seconds) -> bool {
    let factor = rate.mails_per_second() / told.mails_per_second();
    factor.max(1.0 / factor) >= if ago < A_WHILE { VERY_MUCH } else { MUCH }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_changes_all_the_time_gets_a_line_when_it_doubles_or_a_minute_later() {
        for (rate, told, ago, news, why) in [
            (14.0, 13.0, 300.0, false, "hardly changed"),
            (18.0, 14.0, 5.0, false, "on its way up"),
            (18.0, 14.0, 60.0, true, "and a minute later"),
            (28.0, 14.0, 1.0, true, "twice as much"),
            (7.0, 14.0, 1.0, true, "half as much"),
            (11.0, 14.0, 61.0, true, "less, for a while"),
        ] {
            assert_eq!(
                is_news(Rate::per_second(rate), Rate::per_second(told), ago),
                news,
                "{rate} after {told}: {why}"
            );
        }
    }
}
