//! Names in SQL that somebody chose.

use std::fmt;
use std::str::FromStr;

/// The longest identifier of PostgreSQL, in bytes: it would cut off the rest.
const LONGEST: usize = 63;

/// The name of a schema or a role. Whatever it is, it stays a name, in SQL and in the comments there: it has no character that could end
/// a quotation of another kind than its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier(String);

/// Why a text is no [`Identifier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// Empty.
    #[error("a name has at least one character")]
    Empty,
    /// PostgreSQL would cut it.
    #[error("a name of PostgreSQL has at most {LONGEST} bytes")]
    TooLong,
    /// It has a character that would need more than double quotes somewhere.
    #[error("a name with $, \\ or a control character is not supported")]
    Unsupported,
}

impl Identifier {
    /// As it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a name in SQL: quoted, so that case and blanks are kept.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    /// As a text in SQL.
    pub fn literal(&self) -> String {
        format!("'{}'", self.0.replace('\'', "''"))
    }
}

impl Default for Identifier {
    /// Of the schema, where nobody says otherwise.
    fn default() -> Self {
        Self("sluice".to_owned())
    }
}

impl FromStr for Identifier {
    type Err = InvalidIdentifier;

    fn from_str(text: &str) -> Result<Self, InvalidIdentifier> {
        if text.is_empty() {
            Err(InvalidIdentifier::Empty)
        } else if text.len() > LONGEST {
            Err(InvalidIdentifier::TooLong)
        } else if text.chars().any(|c| c.is_control() || matches!(c, '$' | '\\')) {
            Err(InvalidIdentifier::Unsupported)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_name_whatever_is_in_it() {
        for (name, quoted, literal) in [
            ("sluice", r#""sluice""#, "'sluice'"),
            ("My Mails", r#""My Mails""#, "'My Mails'"),
            (r#"a"; DROP TABLE users; --"#, r#""a""; DROP TABLE users; --""#, r#"'a"; DROP TABLE users; --'"#),
            ("o'clock", r#""o'clock""#, "'o''clock'"),
            ("邮件", r#""邮件""#, "'邮件'"),
        ] {
            let name: Identifier = name.parse().expect("a name");
            assert_eq!((name.quoted().as_str(), name.literal().as_str()), (quoted, literal));
        }
    }

    #[test]
    fn what_could_end_a_comment_a_body_or_a_text_is_no_name() {
        let long = "é".repeat(32);
        for (text, error) in [
            ("", InvalidIdentifier::Empty),
            (long.as_str(), InvalidIdentifier::TooLong),
            ("a\nDROP TABLE users", InvalidIdentifier::Unsupported),
            ("a\rb", InvalidIdentifier::Unsupported),
            ("a\0b", InvalidIdentifier::Unsupported),
            ("a$sluice$b", InvalidIdentifier::Unsupported),
            ("a\\", InvalidIdentifier::Unsupported),
        ] {
            assert_eq!(text.parse::<Identifier>(), Err(error), "{text:?}");
        }
    }
}
