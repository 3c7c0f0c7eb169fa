//! Which mails a rate, or a pause, holds for.

use std::fmt;
use std::str::FromStr;

use contract::{EmailAddress, TypeName};

/// Which mails.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// All of them.
    Fleet,
    /// Those of this type.
    Type(TypeName),
    /// Those to this domain: in ASCII, in small letters.
    Domain(String),
}

/// A text names no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a domain such as example.com")]
pub struct InvalidScope;

impl Scope {
    /// The scope of mails to this domain, as addresses have it.
    ///
    /// # Errors
    /// No address could have this domain.
    pub fn domain(text: &str) -> Result<Self, InvalidScope> {
        let address = EmailAddress::from_str(&format!("a@{}", text.trim().trim_start_matches('@')));
        address.map(|address| Self::Domain(address.ascii_domain().to_owned())).map_err(|_| InvalidScope)
    }

    /// As it stands in the tables: what kind, and which.
    pub fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::Fleet => ("fleet", ""),
            Self::Type(name) => ("type", name.as_str()),
            Self::Domain(domain) => ("domain", domain),
        }
    }

    /// The other way round; `None` for what no worker has written.
    pub fn from_columns(scope: &str, name: &str) -> Option<Self> {
        match scope {
            "fleet" => Some(Self::Fleet),
            "type" => name.parse().ok().map(Self::Type),
            "domain" => Self::domain(name).ok(),
            _ => None,
        }
    }
}

/// `fleet`, `type:shop.receipt`, `domain:example.com`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.columns() {
            (scope, "") => f.write_str(scope),
            (scope, name) => write!(f, "{scope}:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_domain_is_known_by_what_dns_calls_it() {
        for (text, domain) in [
            ("gmail.com", "gmail.com"),
            ("GMail.COM", "gmail.com"),
            (" @gmail.com\n", "gmail.com"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(Scope::domain(text), Ok(Scope::Domain(domain.to_owned())), "{text:?}");
        }
        for text in ["", "a@b.c", "no dots", "two words.com", ".com", "gmail.com, yahoo.com"] {
            assert_eq!(Scope::domain(text), Err(InvalidScope), "{text:?}");
        }
    }

    #[test]
    fn a_scope_is_what_it_was_once_it_is_read_again() {
        for scope in [Scope::Fleet, Scope::Type("shop.receipt".parse().unwrap()), Scope::domain("gmail.com").unwrap()] {
            let (kind, name) = scope.columns();
            assert_eq!(Scope::from_columns(kind, name), Some(scope.clone()));
        }
        assert_eq!(Scope::from_columns("tenant", "x"), None);
        assert_eq!(Scope::domain("gmail.com").unwrap().to_string(), "domain:gmail.com");
        assert_eq!(Scope::Fleet.to_string(), "fleet");
    }
}
