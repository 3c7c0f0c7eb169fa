//! Addresses from a file, one a line.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use contract::{EmailAddress, InvalidEmailAddress};

use super::keys::{AddressHash, AddressKeys};

/// Longest line, in bytes: any address is shorter.
const LINE: u64 = 4096;
/// What takes less needs no progress, and it is shown anew so often.
const PROGRESS: Duration = Duration::from_secs(1);

/// A line that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Not text.
    #[error("is not UTF-8, or longer than {LINE} bytes")]
    Unreadable,
    /// No address.
    #[error(transparent)]
    NoAddress(#[from] InvalidEmailAddress),
}

/// What a line has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An address.
    Address(EmailAddress),
    /// Nothing, or a comment.
    Nothing,
    /// Something else.
    Bad(BadLine),
}

/// Reads lines, numbered from 1. Each is read for itself: a file may be larger than memory.
///
/// # Errors
/// The file can't be read.
pub fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let read = std::io::Read::take(&mut *input, LINE).read_until(b'\n', &mut bytes)?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 == LINE && bytes.last() != Some(&b'\n') {
        skip_line(input)?;
        return Ok(Some(Line::Bad(BadLine::Unreadable)));
    }
    Ok(Some(read_line(&bytes)))
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

fn read_line(bytes: &[u8]) -> Line {
    // Files of some editors begin with a mark.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let Ok(text) = std::str::from_utf8(bytes).map(str::trim) else { return Line::Bad(BadLine::Unreadable) };
    if text.is_empty() || text.starts_with('#') {
        return Line::Nothing;
    }
    match text.parse() {
        Ok(address) => Line::Address(address),
        Err(error) => Line::Bad(BadLine::NoAddress(error)),
    }
}

/// Addresses for one statement, hashed.
#[derive(Debug, Default)]
pub struct Batch(BTreeSet<AddressHash>);

impl Batch {
    /// Addresses a statement.
    pub const FULL: usize = 1000;

    /// Adds one. True: it is full.
    pub fn add(&mut self, keys: &AddressKeys, address: &EmailAddress) -> bool {
        self.0.insert(keys.hashes(address).now);
        self.0.len() >= Self::FULL
    }

    /// Takes them, sorted.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0).into_iter().map(|hash| hash.to_vec()).collect()
    }
}

/// What shows on a terminal when it takes longer.
#[derive(Debug)]
pub struct Progress {
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Begins now.
    pub fn new() -> Self {
        Self { next: stderr().is_terminal().then(|| Instant::now() + PROGRESS), shown: false }
    }

    /// So many lines were read.
    pub fn show(&mut self, lines: u64) {
        let Some(next) = self.next.filter(|next| Instant::now() >= *next) else { return };
        self.next = Some(next + PROGRESS);
        self.shown = true;
        let _ = write!(stderr(), "\r\u{1b}[K{lines} lines read");
    }

    /// Leaves the line to others.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut input: &[u8]) -> Vec<Line> {
        std::iter::from_fn(|| next_line(&mut input).unwrap()).collect()
    }

    #[test]
    fn a_line_is_an_address_or_nothing_or_told() {
        let address = |text: &str| Line::Address(text.parse().unwrap());
        let no_address = |error| Line::Bad(BadLine::NoAddress(error));
        let read = lines(b"\xef\xbb\xbfada@example.com\r\n\n# a comment\n  bob@example.com  \nnobody\n\xff@example.com\neve@example.com");
        let expected = [
            address("ada@example.com"),
            Line::Nothing,
            Line::Nothing,
            address("bob@example.com"),
            no_address(InvalidEmailAddress::Form),
            Line::Bad(BadLine::Unreadable),
            address("eve@example.com"),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_without_an_end_is_told_and_the_next_one_is_read() {
        let mut file = vec![b'a'; 20_000];
        file.extend_from_slice(b"\nada@example.com\n");
        let expected = [Line::Bad(BadLine::Unreadable), Line::Address("ada@example.com".parse().unwrap())];
        assert_eq!(lines(&file), expected);
    }
}
