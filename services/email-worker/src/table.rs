//! Tables that line up, written in pieces so that none is ever held whole.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, SystemTime};

use super::Letter;

/// Rows that are measured together.
const PIECE: usize = 1000;
/// Longest text of a cell, in characters.
const LONGEST: usize = 200;

/// A table on its way out. The widths are those of the first rows, and grow where later ones need it.
#[derive(Debug)]
pub(super) struct Table<W> {
    out: W,
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
}

impl<W: io::Write> Table<W> {
    /// A table with this first row.
    pub(super) fn new(out: W, header: &[&str]) -> Self {
        Self { out, rows: vec![header.iter().map(|&name| name.to_owned()).collect()], widths: vec![0; header.len()] }
    }

    /// One more row.
    pub(super) fn push(&mut self, row: Vec<String>) -> io::Result<()> {
        self.rows.push(row.iter().map(|cell| printable(cell)).collect());
        if self.rows.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Where it would have been written, for another text instead.
    pub(super) fn into_inner(self) -> W {
        self.out
    }

    /// Writes what is left.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in self.rows.drain(..) {
            let mut text = String::new();
            for (width, cell) in self.widths.iter().zip(row) {
                let _ = write!(text, "{cell:<width$}  ");
            }
            writeln!(self.out, "{}", text.trim_end())?;
        }
        self.out.flush()
    }
}

/// The columns of a list.
pub(super) fn columns(with_address: bool) -> Vec<&'static str> {
    let mut columns = vec!["ID", "REASON", "AGE", "ATTEMPTS"];
    columns.extend(with_address.then_some("ADDRESS"));
    columns.push("DETAIL");
    columns
}

/// A letter in these columns.
pub(super) fn row(letter: &Letter, now: SystemTime, with_address: bool) -> Vec<String> {
    let age = letter.age(now).map_or_else(|| "?".to_owned(), brief);
    let mut row = vec![letter.id.clone(), letter.reason.clone(), age, letter.attempts.to_string()];
    let address = || letter.recipient.as_ref().map(|(email, _)| email.clone()).unwrap_or_default();
    row.extend(with_address.then(address));
    row.push(letter.detail.clone());
    row
}

/// Ids and reasons come off the queue: a terminal must not obey what stands in them.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(LONGEST).collect()
}

/// The two largest units are enough.
fn brief(age: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_line_up_and_control_characters_are_not_obeyed() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, &["ID", "WHY"]);
        table.push(vec!["long-id".to_owned(), "a\u{1b}[31m".to_owned()]).unwrap();
        table.push(vec!["x".to_owned(), "b".to_owned()]).unwrap();
        table.flush().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "ID       WHY\nlong-id  a\u{fffd}[31m\nx        b\n");
    }
}
