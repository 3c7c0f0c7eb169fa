//! Who mails are from.

use std::fmt;
use std::str::FromStr;

use contract::EmailAddress;

use crate::address::ascii_address;

/// Who the mails are from: an address, with or without a name in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: EmailAddress,
}

impl Sender {
    /// The name in front, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address with its domain in ASCII.
    pub fn ascii_address(&self) -> String {
        ascii_address(&self.address)
    }

    /// The domain in ASCII.
    pub fn ascii_domain(&self) -> &str {
        self.address.ascii_domain()
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.ascii_address()),
            None => f.write_str(&self.ascii_address()),
        }
    }
}

/// Why a sender was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sender such as \"Sluice <no-reply@example.com>\" or no-reply@example.com, ASCII before the @")]
pub struct InvalidSender;

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => rest.split_once('<').ok_or(InvalidSender)?,
            None => ("", text),
        };
        let name = name.trim().trim_matches('"').trim();
        if name.chars().any(char::is_control) {
            return Err(InvalidSender);
        }
        let address: EmailAddress = address.trim().parse().map_err(|_| InvalidSender)?;
        // Every server must take mail from it, also one without SMTPUTF8.
        if address.needs_smtputf8() {
            return Err(InvalidSender);
        }
        Ok(Self { name: (!name.is_empty()).then(|| name.to_owned()), address })
    }
}
