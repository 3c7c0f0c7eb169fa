//! Where bounces go: the sender in the envelope, `MAIL FROM`.

use std::fmt;
use std::str::FromStr;

use contract::{EmailAddress, TaskId};

use crate::address::ascii_address;

/// What stands for the task's id.
const ID: &str = "{id}";

/// Where bounces go. With an id in it each mail has an address of its own (VERP), which tells what a bounce is about, whatever
/// its author made of the mail.
///
/// The id is the task's, not the recipient's address as VERP was first thought of: that would be personal data in an
/// address that others write into their logs, and often longer than the 64 bytes that there are before an `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath {
    before: String,
    /// What follows the id; `None`: all mails have one address.
    after: Option<String>,
}

impl ReturnPath {
    /// Where bounces of this task's mail go, in ASCII.
    pub fn of(&self, task: TaskId) -> String {
        match &self.after {
            Some(after) => format!("{}{task}{after}", self.before),
            None => self.before.clone(),
        }
    }
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.after {
            Some(after) => write!(f, "{}{ID}{after}", self.before),
            None => f.write_str(&self.before),
        }
    }
}

/// Why a text is no return path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address such as bounces@example.com, or bounces+{ID}@example.com for one of each mail's own; ASCII before the @, with \
     the id at most 64 characters"
)]
pub struct InvalidReturnPath;

impl FromStr for ReturnPath {
    type Err = InvalidReturnPath;

    fn from_str(text: &str) -> Result<Self, InvalidReturnPath> {
        let text = text.trim();
        let whole = |text: &str| match text.parse::<EmailAddress>() {
            Ok(address) if !address.needs_smtputf8() => Ok(ascii_address(&address)),
            _ => Err(InvalidReturnPath),
        };
        let Some((before, after)) = text.split_once(ID) else {
            // Braces are letters of an address, and nobody means them.
            return if text.contains(['{', '}']) {
                Err(InvalidReturnPath)
            } else {
                whole(text).map(|before| Self { before, after: None })
            };
        };
        // Any id: all have one length.
        let sample = TaskId::from_message_id("sample").to_string();
        let address = whole(&format!("{before}{sample}{after}"))?;
        let (before, after) = address.split_once(&sample).ok_or(InvalidReturnPath)?;
        if before.contains(['@', '{', '}']) || after.contains(['{', '}']) {
            return Err(InvalidReturnPath);
        }
        Ok(Self { before: before.to_owned(), after: Some(after.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_one_of_each_mails_own() {
        let id = TaskId::from_message_id("one");
        for (text, of) in [
            ("bounces@example.com", "bounces@example.com".to_owned()),
            (" bounces@B\u{fc}cher.example ", "bounces@xn--bcher-kva.example".to_owned()),
            ("bounces+{id}@example.com", format!("bounces+{id}@example.com")),
            ("{id}@bounces.example.com", format!("{id}@bounces.example.com")),
            ("b-{id}-x@example.com", format!("b-{id}-x@example.com")),
        ] {
            let path: ReturnPath = text.parse().unwrap();
            assert_eq!(path.of(id), of, "{text}");
            assert_eq!(path.to_string().parse(), Ok(path), "{text}");
        }
    }

    #[test]
    fn what_no_server_takes_is_refused() {
        let long = format!("{}+{{id}}@example.com", "b".repeat(28));
        let just_fits = format!("{}+{{id}}@example.com", "b".repeat(27));
        assert!(just_fits.parse::<ReturnPath>().is_ok());
        for text in [
            "",
            "<>",
            "bounces",
            "j\u{fc}rgen@example.com",
            "bounces+{id}",
            "bounces@{id}.example.com",
            "{id}{id}@example.com",
            "bounces+{task}@example.com",
            "bounces+{id@example.com",
            "Bounces <bounces@example.com>",
            "a@example.com\r\nRCPT TO:<b@example.com>",
            &long,
        ] {
            assert_eq!(text.parse::<ReturnPath>(), Err(InvalidReturnPath), "{text:?}");
        }
    }
}
