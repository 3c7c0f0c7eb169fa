//! How a process ends: exit codes after sysexits.h, and errors told in one line.

use std::io::Write as _;
use std::process::ExitCode;

use crate::words::words;

/// Why a process ended in failure, as its exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A variable or an argument is missing or makes no sense: no use in starting again unchanged.
    Usage = 64,
    /// What a command was given to look at is not right: each mistake was told.
    Data = 65,
    /// Something that this process needs was not there in time: starting again may help.
    Unavailable = 69,
    /// A fault of our own.
    Software = 70,
    /// Stopped as asked, and something that was under way was cut off.
    CutOff = 75,
    /// What was found does not fit, such as a queue with other arguments: somebody has to decide.
    Config = 78,
    /// A signal ended a command before its work was done: run again, it goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error and its causes in one line: `error: what was attempted: on what: why not`.
///
/// A cause that its parent's message repeats already is left out; line breaks become spaces.
pub fn report(err: &anyhow::Error) -> String {
    let mut line = String::from("error");
    let mut last = String::new();
    for cause in err.chain() {
        let text = words(cause).split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() && !last.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
            last = text;
        }
    }
    line
}

/// The last words of a process: the error in one line on stderr, and the code.
pub fn fail(error: &anyhow::Error, code: Exit) -> ExitCode {
    // Whoever closed stderr does not want to know.
    let _ = writeln!(std::io::stderr(), "{}", report(error));
    code.into()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_told_in_one_line_without_repetition() {
        let cases = [
            (anyhow!("no route"), "error: no route"),
            (anyhow!("no route").context("connecting"), "error: connecting: no route"),
            (
                anyhow!("no route").context("connecting: no route").context("starting"),
                "error: starting: connecting: no route",
            ),
            (anyhow!("first\n  second").context("reading"), "error: reading: first second"),
            (anyhow!("no such table at line 1392").context("asking"), "error: asking: no such table"),
        ];
        for (err, line) in cases {
            assert_eq!(report(&err), line);
        }
    }
}
