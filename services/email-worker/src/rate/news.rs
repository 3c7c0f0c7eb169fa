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
        let Some(others) = self.others(own, binding) else { return };
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

    /// The ceiling of another worker that now holds for this one, or that none does any more; `None`: as before.
    fn others(&mut self, own: Option<Rate>, binding: Option<Rate>) -> Option<Option<Rate>> {
        let others = binding.filter(|_| binding != own);
        let before = std::mem::replace(&mut self.ceiling, others);
        (before != others).then_some(others)
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
    use serde_json::json;

    use super::*;

    const TERMS: Terms = Terms { ceiling: None, adapts: true };

    /// A fleet that was refused then, and goes at this rate since; without one it pauses.
    fn row(refused_at: Seconds, rate: Option<f64>) -> Row {
        let pause = json!({"since": 0.0, "until": 0.0, "step": 0.0, "asked": 0.0, "refused": null, "taken": 0.0});
        let pause = rate.is_none().then_some(pause);
        let learnt = json!({"episode": 1, "refused_at": refused_at, "rate": rate.unwrap_or(1.0), "pause": pause});
        Row { learnt: serde_json::from_value(learnt).unwrap(), ..Row::default() }
    }

    #[test]
    fn a_refusal_after_a_long_while_and_a_rate_that_changed_much_are_news() {
        const FREE: Option<f64> = Some(Rate::MOST as f64);
        let changed = |rate| Some(Line::Changed(Rate::per_second(rate)));
        let mut news = News::default();
        for (now, refused_at, rate, expected, why) in [
            (100.0, 100.0, None, Some(Line::Throttled), "the first refusal"),
            (101.0, 100.0, None, None, "the same"),
            (102.0, 100.0, Some(10.0), changed(10.0), "it goes on"),
            (103.0, 100.0, Some(12.0), None, "hardly faster"),
            (104.0, 104.0, None, None, "refused again so soon"),
            (105.0, 104.0, Some(20.0), changed(20.0), "twice as fast"),
            (106.0, 104.0, Some(28.0), None, "on its way up"),
            (165.0, 104.0, Some(28.0), changed(28.0), "a minute after the last line"),
            (170.0, 104.0, FREE, Some(Line::Recovered), "nothing holds it back"),
            (171.0, 104.0, FREE, None, "still"),
            (704.0, 704.0, None, None, "ten minutes after the last refusal"),
            (1_304.5, 1_304.5, None, Some(Line::Throttled), "and later"),
            (1_305.0, 1_304.5, Some(28.0), changed(28.0), "said anew, though it is as before"),
        ] {
            assert_eq!(news.line(&row(refused_at, rate), TERMS, now), expected, "at {now}: {why}");
        }
    }

    #[test]
    fn a_worker_that_comes_later_tells_the_rate_and_of_a_refusal_only_while_it_is_young() {
        for (now, rate, expected) in [
            (699.9, Some(10.0), Some(Line::Throttled)),
            (700.0, Some(10.0), Some(Line::Changed(Rate::per_second(10.0)))),
            (700.0, None, None),
        ] {
            assert_eq!(News::default().line(&row(100.0, rate), TERMS, now), expected, "at {now}, {rate:?}");
        }
    }

    #[test]
    fn what_is_not_learnt_or_does_not_bind_is_no_news() {
        let ceiling = |rate| Terms { ceiling: Some(Rate::per_second(rate)), ..TERMS };
        for (terms, expected, why) in [
            (ceiling(10.1), Some(Line::Changed(Rate::per_second(10.0))), "it binds before the ceiling"),
            (ceiling(10.0), None, "the ceiling binds"),
            (Terms { adapts: false, ..TERMS }, None, "nothing is learnt"),
        ] {
            assert_eq!(News::default().line(&row(100.0, Some(10.0)), terms, 800.0), expected, "{why}");
        }
        assert_eq!(News::default().line(&Row::default(), TERMS, 0.0), None, "nobody was ever refused");
    }

    #[test]
    fn another_workers_ceiling_is_told_when_it_begins_to_hold_and_when_it_ends() {
        let rate = |rate: f64| Some(Rate::per_second(rate));
        let mut news = News::default();
        for (own, binding, told) in [
            (rate(50.0), rate(50.0), None),
            (rate(50.0), rate(5.0), Some(rate(5.0))),
            (rate(50.0), rate(5.0), None),
            (rate(50.0), rate(4.0), Some(rate(4.0))),
            (rate(50.0), rate(50.0), Some(None)),
            (None, rate(5.0), Some(rate(5.0))),
            (None, None, Some(None)),
        ] {
            assert_eq!(news.others(own, binding), told, "{own:?} held to {binding:?}");
        }
    }

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
