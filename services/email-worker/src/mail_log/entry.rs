//! What is written about a mail and about an attempt.

use std::time::{Duration, SystemTime};

use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::suppressions::AddressHash;

/// The longest text of a row, in bytes.
const LONGEST: usize = 512;

/// A mail's row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) day: Date,
    pub(crate) id: Uuid,
    pub(crate) mail_type: String,
    pub(crate) recipient: Option<AddressHash>,
    pub(crate) domain: String,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) created: Option<OffsetDateTime>,
    pub(crate) changed: OffsetDateTime,
    pub(crate) due: Option<OffsetDateTime>,
    pub(crate) trace_id: Option<[u8; 16]>,
}

/// The row of an attempt that was not a plain success.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) day: Date,
    pub(crate) id: Uuid,
    pub(crate) at: OffsetDateTime,
    pub(crate) number: i32,
    pub(crate) state: &'static str,
    pub(crate) stage: Option<&'static str>,
    pub(crate) code: Option<i16>,
    pub(crate) enhanced: Option<String>,
    pub(crate) text: String,
    pub(crate) took: Duration,
    pub(crate) worker: String,
}

/// As the calendar has it, which ends with the year 9999: what a stranger's task says may lie beyond it.
pub(crate) fn moment(at: SystemTime) -> Option<OffsetDateTime> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(i128::try_from(since.as_nanos()).ok()?).ok()
}

pub(crate) fn count(attempts: u32) -> i32 {
    i32::try_from(attempts).unwrap_or(i32::MAX)
}

/// As much as is kept of it. PostgreSQL has no text with a zero byte.
pub(crate) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].replace('\0', " ")
}

/// The trace of a `traceparent`: <https://www.w3.org/TR/trace-context/#traceparent-header>.
pub(crate) fn trace_id(traceparent: &str) -> Option<[u8; 16]> {
    trace_of_digits(traceparent.split('-').nth(1)?)
}

/// 32 hexadecimal digits, not all of them zero.
pub(crate) fn trace_of_digits(digits: &str) -> Option<[u8; 16]> {
    // `from_str_radix` takes a sign as well.
    let are_digits = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = are_digits.then(|| u128::from_str_radix(digits, 16).ok()).flatten()?;
    (id != 0).then(|| id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_from_its_header_and_from_nothing_else() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let read = |text: &str| trace_id(text).map(|id| format!("{:032x}", u128::from_be_bytes(id)));
        assert_eq!(read(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        for other in [
            "",
            "00",
            trace,
            "00-4bf9-00f067aa0ba902b7-01",
            &format!("00-{}-1-01", "0".repeat(32)),
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_none() {
        let after =
            |seconds| moment(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).map(OffsetDateTime::unix_timestamp);
        assert_eq!(after(1_800_000_000), Some(1_800_000_000));
        assert_eq!(after(1 << 40), None);
        assert_eq!(moment(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), None);
    }

    #[test]
    fn a_text_has_room_in_its_column() {
        assert_eq!(cut("a\0b"), "a b");
        assert_eq!(cut(&"ü".repeat(300)), "ü".repeat(256));
        assert_eq!(cut(&format!("x{}", "ü".repeat(300))).len(), 511, "cut within a character");
    }
}
