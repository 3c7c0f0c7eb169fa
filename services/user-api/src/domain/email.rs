//! The address of a user.

use std::fmt;
use std::str::FromStr;

use contract::{EmailAddress, InvalidEmailAddress};

use super::Refused;

/// One address whose domain has a dot: `ada@localhost` is an address, and of no use to anybody here.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(EmailAddress);

impl Email {
    /// The address itself.
    pub fn address(&self) -> &EmailAddress {
        &self.0
    }

    /// As it was given, but composed.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What must be unique.
    pub fn folded(&self) -> String {
        self.0.folded()
    }
}

impl FromStr for Email {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err("must not be empty".into());
        }
        let address: EmailAddress = text.parse().map_err(|why: InvalidEmailAddress| Refused(why.to_string().into()))?;
        if !address.ascii_domain().contains('.') {
            return Err("must have a full domain, such as example.com, after the @".into());
        }
        Ok(Self(address))
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_full_domain() {
        for text in ["ada@example.com", "ada@b\u{fc}cher.example", "\u{9b4f}@example.com"] {
            assert!(text.parse::<Email>().is_ok(), "{text:?} was refused");
        }
        for text in ["", "ada", "ada@localhost", "ada@example.com\r\nBcc: eve@example.com", "\"a b\"@example.com"] {
            assert!(text.parse::<Email>().is_err(), "{text:?} was taken");
        }
    }
}
