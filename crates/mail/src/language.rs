//! Languages, as tags of BCP 47.

use std::fmt;
use std::str::FromStr;

/// A language tag such as `en`, `pt-BR` or `zh-Hant-TW`, spelled as BCP 47 recommends. `_` is taken for `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(String);

/// Why a text is no language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a language tag such as en, pt-BR or zh-Hant")]
pub struct InvalidLanguage;

impl Language {
    const MAX: usize = 35;

    /// English.
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first part, in lower case.
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// This language, then the wider ones: `zh-Hant-TW`, `zh-Hant`, `zh` (RFC 4647, lookup).
    pub fn fallbacks(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |tag| {
            let wider = tag.rsplit_once('-')?.0;
            // A single letter only opens what was cut off.
            Some(match wider.rsplit_once('-') {
                Some((rest, single)) if single.len() == 1 => rest,
                _ => wider,
            })
        })
    }

    /// Written from right to left.
    pub fn is_right_to_left(&self) -> bool {
        let script = self.0.split('-').skip(1).find(|part| part.len() == 4);
        match script {
            Some(script) => ["Arab", "Hebr", "Thaa", "Syrc", "Nkoo", "Adlm", "Rohg"].contains(&script),
            None => ["ar", "he", "iw", "fa", "ur", "ps", "sd", "ug", "yi", "dv", "ckb", "syr", "nqo"]
                .contains(&self.primary()),
        }
    }
}

impl FromStr for Language {
    type Err = InvalidLanguage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX {
            return Err(InvalidLanguage);
        }
        let mut tag = String::with_capacity(text.len());
        for (n, part) in text.split(['-', '_']).enumerate() {
            let valid = match n {
                0 => (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic()),
                _ => (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()),
            };
            if !valid {
                return Err(InvalidLanguage);
            }
            if n > 0 {
                tag.push('-');
            }
            let (first, rest) = part.split_at(1);
            match part.len() {
                2 if n > 0 => tag.push_str(&part.to_ascii_uppercase()),
                4 if n > 0 => {
                    tag.push_str(&first.to_ascii_uppercase());
                    tag.push_str(&rest.to_ascii_lowercase());
                }
                _ => tag.push_str(&part.to_ascii_lowercase()),
            }
        }
        Ok(Self(tag))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Sets of languages are asked with what a fallback is: a piece of a tag.
impl std::borrow::Borrow<str> for Language {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_spelled_one_way_however_it_was_given() {
        for (text, tag) in [
            ("EN", "en"),
            ("zh_hant_tw", "zh-Hant-TW"),
            ("pt-br", "pt-BR"),
            ("DE-ch-1996", "de-CH-1996"),
            ("ckb", "ckb"),
        ] {
            assert_eq!(text.parse::<Language>().unwrap().as_str(), tag);
        }
        for text in ["", "e", "welcome", "e1", "en-", "en--US", "-en", "en-toolongpart", "\u{fc}b", "en US"] {
            assert_eq!(text.parse::<Language>(), Err(InvalidLanguage), "{text}");
        }
    }

    #[test]
    fn a_language_falls_back_to_wider_ones() {
        for (text, wider) in [
            ("zh-Hant-TW", vec!["zh-Hant-TW", "zh-Hant", "zh"]),
            ("en", vec!["en"]),
            ("de-x-formal", vec!["de-x-formal", "de"]),
        ] {
            assert_eq!(text.parse::<Language>().unwrap().fallbacks().collect::<Vec<_>>(), wider);
        }
    }

    #[test]
    fn some_languages_are_written_from_right_to_left() {
        for (text, rtl) in
            [("ar", true), ("he-IL", true), ("ar-Latn", false), ("pa-Arab", true), ("en", false), ("zh-Hant", false)]
        {
            assert_eq!(text.parse::<Language>().unwrap().is_right_to_left(), rtl, "{text}");
        }
    }
}
