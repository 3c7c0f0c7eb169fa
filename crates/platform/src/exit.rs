//! How a process ends: exit codes after sysexits.h, and errors told in one line.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::Contradiction;
use crate::postgres::{Unfit, is_unfit_pooler, words};
use crate::shutdown::GraceExceeded;
use crate::tasks::TaskEnded;

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

impl Exit {
    /// What an error means that both services know; anything else is a server that is away.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<Contradiction>() {
            Self::Usage
        } else if error.is::<TaskEnded>() {
            Self::Software
        } else if error.is::<GraceExceeded>() {
            Self::CutOff
        } else if let Some(unfit) = error.downcast_ref::<Unfit>() {
            match unfit {
                Unfit::Url => Self::Usage,
                Unfit::Migration(_) | Unfit::Encoding(_) => Self::Config,
            }
        } else if is_unfit_pooler(error) {
            Self::Config
        } else {
            Self::Unavailable
        }
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
    use std::time::Duration;

    use anyhow::anyhow;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tasks::Tasks;

    #[tokio::test]
    async fn each_error_has_an_exit_code_whatever_was_attempted() {
        let mut tasks = Tasks::breaking("publisher");
        tasks.spawn("publisher", async {});
        let stop = CancellationToken::new();
        let crashed = tasks.guard(&stop, stop.cancelled()).await.expect_err("a task panicked");
        let cases: [(anyhow::Error, Exit); 7] = [
            (Contradiction("A contradicts B".to_owned()).into(), Exit::Usage),
            (Unfit::Url.into(), Exit::Usage),
            (crashed.into(), Exit::Software),
            (GraceExceeded(Duration::ZERO).into(), Exit::CutOff),
            (Unfit::Migration(1).into(), Exit::Config),
            (Unfit::Encoding("LATIN1".to_owned()).into(), Exit::Config),
            (anyhow!("no route"), Exit::Unavailable),
        ];
        for (error, code) in cases {
            let error = error.context("starting");
            assert_eq!(Exit::of(&error), code, "{error:#}");
        }
    }

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
