//! The language that somebody is written to in.

use std::str::FromStr;

/// The form of a language tag (BCP 47, `_` as well as `-`), at most 35 characters. Which languages there are mails in is
/// the worker's business: a tag that it does not know becomes English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocaleTag(String);

/// Why a text is no language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a language tag such as en or zh-CN")]
pub struct InvalidLocaleTag;

impl LocaleTag {
    const MAX: usize = 35;

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LocaleTag {
    type Err = InvalidLocaleTag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(['-', '_']);
        let language = parts.next().unwrap_or_default();
        let valid = text.len() <= Self::MAX
            && (2..=8).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_alphabetic())
            && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidLocaleTag) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_form_of_a_language_tag_is_taken() {
        for text in ["en", "zh-CN", "zh_Hans_CN", "de-CH-1996", "tlh"] {
            assert!(text.parse::<LocaleTag>().is_ok(), "{text:?} was refused");
        }
        let long = format!("en{}", "-abcdefgh".repeat(5));
        for text in ["", "e", "en-", "en--us", "e1", "en us", "en\n", "\u{4e2d}\u{6587}", "../etc", &long] {
            assert!(text.parse::<LocaleTag>().is_err(), "{text:?} was taken");
        }
    }
}
