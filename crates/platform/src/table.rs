//! Tables that line up, written in pieces so that none is ever held whole.

use std::fmt::Write as _;
use std::io;

/// Rows that are measured together.
const PIECE: usize = 1000;
/// Longest text of a cell, in characters.
const LONGEST: usize = 200;

/// A table on its way out. The widths are those of the first rows, and grow where later ones need it.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
    longest: usize,
}

impl<W: io::Write> Table<W> {
    /// A table with this first row.
    pub fn new(out: W, header: &[&str]) -> Self {
        let rows = vec![header.iter().map(|&name| name.to_owned()).collect()];
        Self { out, rows, widths: vec![0; header.len()], longest: LONGEST }
    }

    /// Whose cells are never cut.
    pub fn uncut(self) -> Self {
        Self { longest: usize::MAX, ..self }
    }

    /// One more row.
    pub fn push(&mut self, row: Vec<String>) -> io::Result<()> {
        self.rows.push(row.iter().map(|cell| up_to(self.longest, cell)).collect());
        if self.rows.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Where it would have been written, for another text instead.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes what is left.
    pub fn flush(&mut self) -> io::Result<()> {
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

/// What comes off the queue, cut: a terminal must not obey what stands in it.
pub fn printable(text: &str) -> String {
    up_to(LONGEST, text)
}

fn up_to(longest: usize, text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(longest).collect()
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
