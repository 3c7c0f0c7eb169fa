//! Why a text was refused.

use std::borrow::Cow;

/// Why a text was refused: a sentence for the client. It never repeats the text, but for one character that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub Cow<'static, str>);

impl From<&'static str> for Refused {
    fn from(why: &'static str) -> Self {
        Self(why.into())
    }
}

impl Refused {
    /// For the reason that a type gives itself.
    pub fn because(why: impl std::fmt::Display) -> Self {
        Self(why.to_string().into())
    }
}
