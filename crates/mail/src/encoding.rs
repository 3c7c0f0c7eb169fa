//! Text in seven bits: quoted-printable, base64 and the encoded words of RFC 2047.
//!
//! Written here rather than taken from the mail library because no line may begin with a dot: then the bytes of a mail
//! are also the bytes on the wire, and sending one is a single write without another copy.

use std::fmt::Write as _;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789ABCDEF";
/// Longest line of an encoded body.
const LINE: usize = 76;
/// Bytes of text in one encoded word: `Subject: ` and the word stay within [`LINE`].
const WORD: usize = 36;

/// How a body travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    SevenBit,
    QuotedPrintable,
    Base64,
}

impl Transfer {
    /// The cheapest that carries `text`, whose lines end in CRLF, unchanged.
    pub(super) fn choose(text: &str) -> Self {
        let foreign = text.bytes().filter(|b| !b.is_ascii()).count();
        if foreign * 6 > text.len() {
            Self::Base64
        } else if foreign > 0
            || !text
                .split_inclusive('\n')
                .all(|line| travels_well(line.strip_suffix("\r\n").unwrap_or(line).as_bytes()))
        {
            Self::QuotedPrintable
        } else {
            Self::SevenBit
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }

    /// Appends `text`; the last line is ended.
    pub(super) fn encode(self, text: &str, out: &mut String) {
        match self {
            Self::SevenBit => out.push_str(text),
            Self::QuotedPrintable => quoted_printable(text, out),
            Self::Base64 => {
                for line in text.as_bytes().chunks(LINE / 4 * 3) {
                    base64(line, out);
                    out.push_str("\r\n");
                }
            }
        }
        if !out.ends_with("\r\n") {
            out.push_str("\r\n");
        }
    }
}

/// Whether no server on the way would touch the line, and nobody takes it for a boundary or the end of the mail.
fn travels_well(line: &[u8]) -> bool {
    line.len() <= 900
        && !matches!(line.first(), Some(b'.' | b'-'))
        && !line.starts_with(b"From ")
        && !matches!(line.last(), Some(b' ' | b'\t'))
        && line.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'))
}

fn quoted_printable(text: &str, out: &mut String) {
    out.reserve(text.len() + text.len() / 16);
    for (n, line) in crlf_lines(text).enumerate() {
        if n > 0 {
            out.push_str("\r\n");
        }
        let bytes = line.as_bytes();
        let (mut at, mut column) = (0, 0);
        while let Some(&byte) = bytes.get(at) {
            // One column is kept for the `=` of a soft break.
            let room = LINE - 1 - column;
            let run = plain_run(&bytes[at..], column == 0, room);
            if run > 0 {
                // Of ASCII alone.
                out.push_str(line.get(at..at + run).unwrap_or_default());
                (at, column) = (at + run, column + run);
            } else if room < 3 {
                out.push_str("=\r\n");
                column = 0;
            } else {
                out.push('=');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
                (at, column) = (at + 1, column + 3);
            }
        }
    }
}

/// How many of the next bytes of a line go as they are, `most` at most.
fn plain_run(bytes: &[u8], begins_a_line: bool, most: usize) -> usize {
    // "From " at the beginning of a line is changed by some.
    if begins_a_line && matches!(bytes.first(), Some(b'.' | b'-' | b'F')) {
        return 0;
    }
    let goes = |byte: &u8| matches!(byte, b'\t' | b' '..=b'<' | b'>'..=b'~');
    let run = bytes.iter().take(most).take_while(|byte| goes(byte)).count();
    // Blanks at the end of a line are lost on the way.
    if run == bytes.len() && matches!(bytes.last(), Some(b' ' | b'\t')) { run - 1 } else { run }
}

/// What stands between the line breaks.
fn crlf_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let left = rest?;
        let mut from = 0;
        while let Some(found) = left[from..].find('\n') {
            let end = from + found;
            if let Some(line) = left[..end].strip_suffix('\r') {
                rest = Some(&left[end + 1..]);
                return Some(line);
            }
            from = end + 1;
        }
        rest = None;
        Some(left)
    })
}

fn base64(bytes: &[u8], out: &mut String) {
    for group in bytes.chunks(3) {
        let [a, b, c] = [group.first(), group.get(1), group.get(2)].map(|b| u32::from(b.copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        for n in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * n) & 63) as usize];
            out.push(if n <= group.len() { char::from(digit) } else { '=' });
        }
    }
}

/// Appends unstructured text as the rest of a header line that has `used` columns already, and ends the line.
pub(super) fn header_text(text: &str, used: usize, out: &mut String) {
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~')) && !text.contains("=?") && text.trim() == text;
    if plain && used + text.len() <= 78 {
        out.push_str(text);
    } else {
        encoded_words(text, out);
    }
    out.push_str("\r\n");
}

/// Appends text as encoded words, folded between them, no character cut in two.
pub(super) fn encoded_words(text: &str, out: &mut String) {
    let mut rest = text;
    loop {
        let (word, later) = rest.split_at(rest.floor_char_boundary(WORD));
        out.push_str("=?utf-8?b?");
        base64(word.as_bytes(), out);
        out.push_str("?=");
        if later.is_empty() {
            return;
        }
        out.push_str("\r\n ");
        rest = later;
    }
}

/// A name in front of an address: as it is, in quotes, or as encoded words.
pub(super) fn display_name(name: &str) -> String {
    let mut out = String::new();
    if name.len() > 60 || !name.bytes().all(|b| matches!(b, b' '..=b'~')) {
        encoded_words(name, &mut out);
    } else if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ') {
        out.push_str(name);
    } else {
        out.push('"');
        for c in name.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out
}

/// Appends a date as RFC 5322 wants it, in UTC.
pub(super) fn date(at: time::OffsetDateTime, out: &mut String) {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = at.to_offset(time::UtcOffset::UTC);
    let day = DAYS[usize::from(at.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(at.month()) - 1)];
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} +0000",
        at.day(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    );
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::IndexedRandom as _;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn encoded(transfer: Transfer, text: &str) -> String {
        let mut out = String::new();
        transfer.encode(text, &mut out);
        out
    }

    #[test]
    fn the_cheapest_encoding_that_changes_nothing_is_chosen() {
        for (text, expected) in [
            ("Hello Bob,\r\n\r\nwelcome\r\n", Transfer::SevenBit),
            ("Hello J\u{fc}rgen,\r\nwelcome to the place\r\n", Transfer::QuotedPrintable),
            (".\r\nQUIT\r\n", Transfer::QuotedPrintable),
            ("--=_boundary--\r\n", Transfer::QuotedPrintable),
            ("From here\r\n", Transfer::QuotedPrintable),
            ("a space at the end \r\n", Transfer::QuotedPrintable),
            ("a lone \n line feed\r\n", Transfer::QuotedPrintable),
            (&"x".repeat(2_000), Transfer::QuotedPrintable),
            ("欢迎加入", Transfer::Base64),
        ] {
            assert_eq!(Transfer::choose(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quoted_printable_by_example() {
        for (text, expected) in [
            ("a=b\r\n", "a=3Db\r\n"),
            ("J\u{fc}rgen \r\n.\r\n", "J=C3=BCrgen=20\r\n=2E\r\n"),
            ("--x\r\nFrom y\r\n", "=2D-x\r\n=46rom y\r\n"),
            ("a\nb", "a=0Ab\r\n"),
        ] {
            assert_eq!(encoded(Transfer::QuotedPrintable, text), expected);
        }
        let long = encoded(Transfer::QuotedPrintable, &format!("{}.{}\r\n", "x".repeat(75), "y".repeat(200)));
        assert!(long.split("\r\n").all(|line| line.len() <= LINE && !line.starts_with('.')), "{long}");
    }

    #[test]
    fn base64_by_example() {
        for (text, expected) in [("", "\r\n"), ("f", "Zg==\r\n"), ("fo", "Zm8=\r\n"), ("foo", "Zm9v\r\n")] {
            assert_eq!(encoded(Transfer::Base64, text), expected);
        }
        assert!(encoded(Transfer::Base64, &"欢".repeat(99)).split("\r\n").all(|line| line.len() <= LINE));
    }

    #[test]
    fn headers_are_folded_and_never_gain_a_line() {
        let header = |text: &str| {
            let mut out = "Subject: ".to_owned();
            header_text(text, 9, &mut out);
            out
        };
        assert_eq!(header("Welcome"), "Subject: Welcome\r\n");
        assert_eq!(header("欢迎"), "Subject: =?utf-8?b?5qyi6L+O?=\r\n");
        for text in ["a\r\nBcc: x@example.com", "=?utf-8?q?trick?=", &"欢".repeat(100), &"x".repeat(500), ""] {
            let header = header(text);
            for (n, line) in header.trim_end().split("\r\n").enumerate() {
                assert!(n == 0 || line.starts_with(" =?"), "{header}");
                assert!(line.len() <= LINE, "{header}");
            }
        }
    }

    #[test]
    fn names_are_quoted_when_they_have_to_be() {
        for (name, expected) in [
            ("Sluice Mail", "Sluice Mail"),
            ("Sluice, Inc.", "\"Sluice, Inc.\""),
            ("a \"b\" \\", "\"a \\\"b\\\" \\\\\""),
            ("欢迎", "=?utf-8?b?5qyi6L+O?="),
        ] {
            assert_eq!(display_name(name), expected);
        }
    }

    #[test]
    fn dates_are_in_utc() {
        let mut out = String::new();
        let at = time::OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        date(at.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap()), &mut out);
        assert_eq!(out, "Tue, 14 Nov 2023 22:13:20 +0000");
    }

    /// Byte by byte, as RFC 2045 says it.
    fn by_the_book(text: &str, out: &mut String) {
        for (n, line) in text.split("\r\n").enumerate() {
            if n > 0 {
                out.push_str("\r\n");
            }
            let bytes = line.as_bytes();
            let mut column = 0;
            for (at, byte) in bytes.iter().copied().enumerate() {
                let last = at + 1 == bytes.len();
                let plain = match byte {
                    b'=' => false,
                    b' ' | b'\t' => !last,
                    b'.' | b'-' => column > 0,
                    // "From " at the beginning of a line is changed by some.
                    b'F' => column > 0,
                    _ => byte.is_ascii_graphic(),
                };
                let width = if plain { 1 } else { 3 };
                // One column is kept for the `=` of a soft break.
                if column + width > LINE - 1 {
                    out.push_str("=\r\n");
                    column = 0;
                }
                // The break may have put a character first that must not be.
                if plain && !(column == 0 && matches!(byte, b'.' | b'-' | b'F')) {
                    out.push(char::from(byte));
                    column += 1;
                } else {
                    out.push('=');
                    out.push(char::from(HEX[usize::from(byte >> 4)]));
                    out.push(char::from(HEX[usize::from(byte & 15)]));
                    column += 3;
                }
            }
        }
    }

    #[test]
    fn whole_runs_at_once_are_the_same_as_byte_by_byte() {
        let words = [
            "a",
            "F",
            "From ",
            ".",
            "-",
            "=",
            " ",
            "\t",
            "\u{fc}",
            "\u{4e2d}",
            "\r\n",
            "\r",
            "\n",
            "quite a long word",
            "<br>",
        ];
        let mut chance = StdRng::seed_from_u64(2045);
        for _ in 0..5_000 {
            let text: String =
                (0..chance.random_range(0..60)).filter_map(|_| words.choose(&mut chance).copied()).collect();
            let (mut quick, mut slow) = (String::new(), String::new());
            quoted_printable(&text, &mut quick);
            by_the_book(&text, &mut slow);
            assert_eq!(quick, slow, "{text:?}");
        }
    }
}
