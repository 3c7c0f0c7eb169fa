//! The name of a user.

use std::fmt;
use std::str::FromStr;

use super::Refused;

/// 3 to 32 ASCII letters, digits, `_` and `-`; unique without regard to case.
///
/// Not free text: it stands in a mail to an address that nobody has confirmed yet, and must not carry an advertisement.
/// Not letters beyond ASCII: two names that look the same would be two users.
#[derive(Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err("must not be empty".into());
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err("must consist of the letters a to z and A to Z, digits, '_' and '-'".into());
        }
        if !(3..=32).contains(&text.len()) {
            return Err("must be 3 to 32 characters long".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_and_two_marks_are_taken_and_nothing_else() {
        let long = "a".repeat(32);
        for text in ["ada", "Ada_Lovelace-1815", "---", "123", &long] {
            assert!(text.parse::<Username>().is_ok(), "{text:?} was refused");
        }
        let longer = "a".repeat(33);
        for text in ["", "ab", &longer, "a b", "ada\n", "ada\0", "ad\u{e4}", "\u{430}da", "ada.", "http://x", "<b>"] {
            assert!(text.parse::<Username>().is_err(), "{text:?} was taken");
        }
    }
}
