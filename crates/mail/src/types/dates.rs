//! Dates and times of RFC 3339, and how languages write them.

use minijinja::{Error, ErrorKind};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

/// A date, or a moment with its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Day(Date),
    Moment(OffsetDateTime),
}

impl When {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Nothing valid is longer; parsers need not see it.
        if text.len() > 40 {
            return None;
        }
        if text.len() == 10 {
            return Date::parse(text, format_description!("[year]-[month]-[day]")).ok().map(Self::Day);
        }
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::Moment)
    }

    fn date(self) -> Date {
        match self {
            Self::Day(date) => date,
            Self::Moment(moment) => moment.date(),
        }
    }

    /// The day, as the language writes it; `2026-11-28` where that is not known here. A moment's day is that of its own
    /// offset.
    pub(crate) fn in_language(self, primary: &str) -> String {
        let date = self.date();
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let named = |months: &[&'static str; 12]| months[usize::from(month - 1)];
        match primary {
            "en" => format!("{day} {} {year}", named(&ENGLISH)),
            "de" => format!("{day}. {} {year}", named(&GERMAN)),
            "fr" if day == 1 => format!("1er {} {year}", named(&FRENCH)),
            "fr" => format!("{day} {} {year}", named(&FRENCH)),
            "it" => format!("{day} {} {year}", named(&ITALIAN)),
            "nl" => format!("{day} {} {year}", named(&DUTCH)),
            "es" => format!("{day} de {} de {year}", named(&SPANISH)),
            "pt" => format!("{day} de {} de {year}", named(&PORTUGUESE)),
            "zh" | "ja" => format!("{year}年{month}月{day}日"),
            "ko" => format!("{year}년 {month}월 {day}일"),
            _ => format!("{year:04}-{month:02}-{day:02}"),
        }
    }

    /// By a pattern such as `[day].[month].[year] [hour]:[minute]`.
    ///
    /// # Errors
    /// A pattern that is none.
    pub(crate) fn by_pattern(self, pattern: &str) -> Result<String, Error> {
        let wrong = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::InvalidOperation, format!("date: the pattern {pattern:?}: {error}"))
        };
        let items = time::format_description::parse_borrowed::<2>(pattern).map_err(|error| wrong(&error))?;
        let formatted = match self {
            Self::Day(date) => PrimitiveDateTime::new(date, Time::MIDNIGHT).format(&items),
            Self::Moment(moment) => moment.format(&items),
        };
        formatted.map_err(|error| wrong(&error))
    }
}

const ENGLISH: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const GERMAN: [&str; 12] = [
    "Januar",
    "Februar",
    "M\u{e4}rz",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const FRENCH: [&str; 12] = [
    "janvier",
    "f\u{e9}vrier",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "ao\u{fb}t",
    "septembre",
    "octobre",
    "novembre",
    "d\u{e9}cembre",
];
const ITALIAN: [&str; 12] = [
    "gennaio",
    "febbraio",
    "marzo",
    "aprile",
    "maggio",
    "giugno",
    "luglio",
    "agosto",
    "settembre",
    "ottobre",
    "novembre",
    "dicembre",
];
const DUTCH: [&str; 12] = [
    "januari",
    "februari",
    "maart",
    "april",
    "mei",
    "juni",
    "juli",
    "augustus",
    "september",
    "oktober",
    "november",
    "december",
];
const SPANISH: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];
const PORTUGUESE: [&str; 12] = [
    "janeiro",
    "fevereiro",
    "mar\u{e7}o",
    "abril",
    "maio",
    "junho",
    "julho",
    "agosto",
    "setembro",
    "outubro",
    "novembro",
    "dezembro",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_the_language_does() {
        let when = When::parse("2026-03-01").unwrap();
        for (language, written) in [
            ("en", "1 March 2026"),
            ("de", "1. M\u{e4}rz 2026"),
            ("fr", "1er mars 2026"),
            ("es", "1 de marzo de 2026"),
            ("zh", "2026年3月1日"),
            ("ko", "2026년 3월 1일"),
            ("ar", "2026-03-01"),
            ("", "2026-03-01"),
        ] {
            assert_eq!(when.in_language(language), written);
        }
    }

    #[test]
    fn a_moment_is_shown_at_its_own_offset() {
        let when = When::parse("2026-11-28T23:30:00-05:00").unwrap();
        assert_eq!(when.in_language("en"), "28 November 2026");
        let pattern = "[day].[month].[year] [hour]:[minute]";
        assert_eq!(when.by_pattern(pattern).unwrap(), "28.11.2026 23:30");
        assert_eq!(When::parse("2026-11-28").unwrap().by_pattern(pattern).unwrap(), "28.11.2026 00:00");
        assert!(when.by_pattern("[nonsense]").is_err());
        assert!(When::parse("2026-11-28").unwrap().by_pattern("[offset_hour]").is_err());
    }
}
