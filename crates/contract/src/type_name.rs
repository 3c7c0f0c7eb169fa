//! The name of a mail type: AMQP's `type` of a message.

use std::str::FromStr;

/// `type` of the welcome mail, which is what a message without a type asks for, as the tutorial's producer publishes it.
pub const TYPE_WELCOME: &str = "email.welcome";
/// [`TypeName::MAX`], for the text of an error.
const MAX: usize = TypeName::MAX;

/// A name such as `email.welcome` or `shop.receipt`: letters, digits, `-` and `_`, in parts between dots; at most 100 bytes, and no `_`
/// first. It is the beginning of file names, and stands in logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeName(String);

/// Why a text is no name of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name such as email.welcome: letters, digits, - and _, in parts between dots, at most {MAX} bytes")]
pub struct InvalidTypeName;

impl TypeName {
    /// Longest name, in bytes.
    pub const MAX: usize = 100;

    /// `email.welcome`.
    pub fn welcome() -> Self {
        Self(TYPE_WELCOME.to_owned())
    }

    /// Is it `email.welcome`?
    pub fn is_welcome(&self) -> bool {
        self.0 == TYPE_WELCOME
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TypeName {
    type Err = InvalidTypeName;

    fn from_str(text: &str) -> Result<Self, InvalidTypeName> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let part = |part: &str| !part.is_empty() && part.bytes().all(word);
        // A leading _ is that of a file which is a part of others.
        let good = text.len() <= MAX && !text.starts_with('_') && text.split('.').all(part);
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidTypeName) }
    }
}

impl std::borrow::Borrow<str> for TypeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for TypeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_files_and_metrics_can_bear() {
        let (longest, longer) = ("a".repeat(MAX), "a".repeat(MAX + 1));
        for good in ["email.welcome", "a", "shop.receipt-2", "a_b.C9", "2fa", &longest] {
            assert_eq!(good.parse::<TypeName>().map(|name| name.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", ".a", "a.", "a..b", "_a", "a b", "a/b", "../a", "\u{e4}", "a\n", &longer] {
            assert_eq!(bad.parse::<TypeName>(), Err(InvalidTypeName), "{bad:?}");
        }
    }

    #[test]
    fn the_welcome_mail_is_a_type_like_others() {
        assert_eq!(TYPE_WELCOME.parse(), Ok(TypeName::welcome()));
        assert!(TypeName::welcome().is_welcome() && !"email.welcome2".parse::<TypeName>().expect("good").is_welcome());
    }
}
