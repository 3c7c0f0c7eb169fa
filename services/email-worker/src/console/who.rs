//! Who may do what.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A token is at least so long, in characters: what people think of is shorter.
const SHORTEST: usize = 24;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// And act.
    Operator,
}

impl Role {
    /// As it is written in settings and sessions.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Viewer, Self::Operator].into_iter().find(|role| role.slug() == text).ok_or(())
    }
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// As the history names them.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Tokens of small set-ups: `grace=operator:SECRET`, separated by commas or line breaks. Only the hash of each is kept.
#[derive(Clone, Default)]
pub struct Tokens(Arc<HashMap<[u8; 32], Who>>);

/// A list of tokens makes no sense. Never repeats what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTokens {
    /// Not of this form.
    #[error("entry {0} is not of the form NAME=viewer:TOKEN or NAME=operator:TOKEN")]
    Form(usize),
    /// Somebody could guess it.
    #[error("the token of entry {0} has fewer than {SHORTEST} characters: make one with `openssl rand -hex 32`")]
    Short(usize),
    /// Two with one token.
    #[error("entry {0} has the same token as an earlier one")]
    Twice(usize),
}

impl Tokens {
    /// Is nobody known?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token it is.
    pub fn holder(&self, token: &str) -> Option<&Who> {
        self.0.get(&digest(token.trim()))
    }

    /// Is there somebody of this name and role, still?
    pub fn knows(&self, who: &Who) -> bool {
        self.0.values().any(|known| known == who)
    }
}

/// Of the hash, so that how long a look takes tells nothing of the token.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Equal, in a time that does not tell how much of it.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

impl FromStr for Tokens {
    type Err = InvalidTokens;

    fn from_str(text: &str) -> Result<Self, InvalidTokens> {
        let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        let mut tokens = HashMap::new();
        for (number, entry) in entries.enumerate().map(|(at, entry)| (at + 1, entry)) {
            let form = || InvalidTokens::Form(number);
            let (name, rest) = entry.split_once('=').ok_or_else(form)?;
            let (role, token) = rest.split_once(':').ok_or_else(form)?;
            let (name, role) = (name.trim(), role.trim().parse().map_err(|()| form())?);
            if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
                return Err(form());
            }
            if token.trim().chars().count() < SHORTEST {
                return Err(InvalidTokens::Short(number));
            }
            if tokens.insert(digest(token.trim()), Who { name: name.to_owned(), role }).is_some() {
                return Err(InvalidTokens::Twice(number));
            }
        }
        Ok(Self(Arc::new(tokens)))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "another-token-of-many-letters";

    #[test]
    fn a_token_lets_its_holder_in_and_nobody_else() {
        let tokens: Tokens = format!("grace=operator:{ONE}\n desk = viewer:{OTHER} ,\n").parse().unwrap();
        assert_eq!(tokens.holder(ONE), Some(&Who { name: "grace".into(), role: Role::Operator }));
        assert_eq!(tokens.holder(&format!(" {OTHER}\n")), Some(&Who { name: "desk".into(), role: Role::Viewer }));
        for wrong in ["", "grace", &ONE[1..], &ONE.to_uppercase()] {
            assert_eq!(tokens.holder(wrong), None, "{wrong}");
        }
        assert!(tokens.knows(&Who { name: "desk".into(), role: Role::Viewer }));
        assert!(!tokens.knows(&Who { name: "desk".into(), role: Role::Operator }), "in another role");
        assert!(!format!("{tokens:?}").contains(ONE));
    }

    #[test]
    fn what_is_no_list_of_tokens_is_refused_without_repeating_it() {
        for (text, error) in [
            (ONE.to_owned(), InvalidTokens::Form(1)),
            (format!("grace={ONE}"), InvalidTokens::Form(1)),
            (format!("grace=admin:{ONE}"), InvalidTokens::Form(1)),
            (format!("=viewer:{ONE}"), InvalidTokens::Form(1)),
            (format!("a=viewer:{ONE},b=viewer:short"), InvalidTokens::Short(2)),
            (format!("a=viewer:{ONE},b=operator:{ONE}"), InvalidTokens::Twice(2)),
        ] {
            let found = text.parse::<Tokens>().unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains(ONE));
        }
        assert!("".parse::<Tokens>().unwrap().is_empty());
    }
}
