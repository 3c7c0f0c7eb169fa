//! A client's name for one attempt.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};

use crate::{Kind, Problem, Refused};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// In the answer to a request that was answered before: `true`.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// 1 to 255 visible ASCII characters. Quotes around the whole, which the IETF draft asks for and few clients send, do not
/// belong to it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The one that a request has, if any.
    ///
    /// # Errors
    /// [`Kind::INVALID_IDEMPOTENCY_KEY`]
    pub fn given(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = given.next() else { return Ok(None) };
        let invalid = |why: Cow<'static, str>| Problem::new(Kind::INVALID_IDEMPOTENCY_KEY).detail(why);
        if given.next().is_some() {
            return Err(invalid("Idempotency-Key was sent more than once".into()));
        }
        let key = key.to_str().unwrap_or_default().parse();
        key.map(Some).map_err(|Refused(why)| invalid(why))
    }

    /// The key without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_matches([' ', '\t']);
        let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID".into());
        }
        Ok(Self(key.to_owned()))
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_with_or_without_quotes() {
        let key = |text: &str| text.parse::<IdempotencyKey>().map(|key| key.as_str().to_owned());
        assert_eq!(key("\"8e03978e\"").as_deref(), Ok("8e03978e"));
        assert_eq!(key(" 8e03978e ").as_deref(), Ok("8e03978e"));
        let (long, longer) = ("k".repeat(255), "k".repeat(256));
        assert!(key(&long).is_ok());
        for text in ["", "\"\"", "a b", "caf\u{e9}", "a\0", &longer] {
            assert!(key(text).is_err(), "{text:?} was taken");
        }
    }
}
