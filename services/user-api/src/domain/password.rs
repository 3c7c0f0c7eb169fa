//! The password, until it is hashed.

use std::fmt;
use std::sync::LazyLock;

use super::{Email, Refused, Username};

/// 8 to 128 characters of any kind but NUL, and none of the well-known worst.
#[derive(Clone)]
pub struct Password(String);

/// What everybody tries first: of zxcvbn's lists, the words of 8 and more characters among the first 10,000 passwords and
/// the first 1,000 of each kind of word. In lower case, sorted.
///
/// Not zxcvbn itself: its dictionaries take 12 MiB of memory, and a password made of substitutions keeps it busy for
/// seven times as long as a hash. The tests hold this list and the rules below against it.
static COMMON: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

impl Password {
    const MIN: usize = 8;
    const MAX: usize = 128;

    /// Checks a new password.
    ///
    /// # Errors
    /// [`Refused`]: too short, too long, or among the first that anybody would guess.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.is_empty() {
            return Err("must not be empty".into());
        }
        if text.contains('\0') {
            return Err("must not contain NUL".into());
        }
        let length = text.chars().count();
        if !(Self::MIN..=Self::MAX).contains(&length) {
            return Err("must be 8 to 128 characters long".into());
        }
        let lower = text.to_lowercase();
        if is_trivial(&lower) || is_common(&lower) {
            return Err("is one of the first that anybody would guess".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it is the name or the address of the same registration.
    pub fn repeats(&self, username: Option<&Username>, email: Option<&Email>) -> bool {
        let lower = self.0.to_lowercase();
        let same = |text: &str| text.to_lowercase() == lower;
        username.is_some_and(|username| same(username.as_str()))
            || email.is_some_and(|email| same(email.as_str()) || same(email.address().local_part()))
    }

    /// For the hash, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// One short piece over and over (`aaaaaaaa`, `abcabcabc`), or a straight run (`12345678`, `hgfedcba`).
fn is_trivial(lower: &str) -> bool {
    let bytes = lower.as_bytes();
    let repeats = (1..=4).any(|n| bytes.len() >= 2 * n && bytes.iter().zip(&bytes[n..]).all(|(a, b)| a == b));
    let runs = |up: bool| {
        bytes.windows(2).all(|pair| if up { pair[0].checked_add(1) } else { pair[0].checked_sub(1) } == Some(pair[1]))
    };
    repeats || runs(true) || runs(false)
}

/// In the list: as it is, backwards, or behind the usual substitutions.
fn is_common(lower: &str) -> bool {
    let listed = |word: &str| COMMON.binary_search(&word).is_ok();
    let plain: String = lower
        .chars()
        .map(|c| match c {
            '4' | '@' => 'a',
            '8' => 'b',
            '(' => 'c',
            '3' => 'e',
            '1' | '!' => 'i',
            '0' => 'o',
            '$' | '5' => 's',
            '7' | '+' => 't',
            '2' => 'z',
            other => other,
        })
        .collect();
    listed(lower) || listed(&plain) || listed(&lower.chars().rev().collect::<String>())
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_length_and_the_well_known_worst_matter() {
        let long: String = (0..128).filter_map(|i| char::from_u32(0x4e00 + i * 7)).collect();
        let longer = format!("{long}x");
        for text in
            ["hunter22", "correct horse battery staple", "  \t blank \n ", "\u{1f600}\u{4e2d}\u{6587} ok!!", &long]
        {
            assert!(Password::parse(text).is_ok(), "{text:?} was refused");
        }
        for text in
            ["", "short77", &longer, "nul\0nul\0nul", "password", "PASSWORD", "P@ssw0rd", "drowssap", "12345678"]
        {
            assert!(Password::parse(text).is_err(), "{text:?} was taken");
        }
        for text in ["aaaaaaaa", "abcabcabc", "hgfedcba", "abababababab", "qwertyuiop", "iloveyou", "1q2w3e4r"] {
            assert!(Password::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_password_that_repeats_the_name_or_the_address_is_noticed() {
        let password = Password::parse("ada-lovelace").unwrap();
        let (username, email) = ("Ada-Lovelace".parse().unwrap(), "ADA-lovelace@example.com".parse().unwrap());
        assert!(password.repeats(Some(&username), None));
        assert!(password.repeats(None, Some(&email)));
        assert!(!password.repeats(Some(&"somebody".parse().unwrap()), None));
    }

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        assert!(COMMON.is_sorted() && COMMON.len() > 4_000, "{} words", COMMON.len());
        assert!(COMMON.iter().all(|word| word.to_lowercase() == **word && word.len() >= Password::MIN));
    }

    /// Everything that zxcvbn gives its worst score must be refused, and nothing that it thinks well of.
    #[test]
    fn zxcvbn_agrees() {
        use testkit::zxcvbn::{Score, zxcvbn};
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        let backwards = |word: &str| word.chars().rev().collect::<String>();
        for word in COMMON.iter().step_by(37) {
            for text in [(*word).to_owned(), word.to_uppercase(), capital(word), backwards(word)] {
                let score = zxcvbn(&text, &[]).score();
                assert!(Password::parse(&text).is_err(), "{text} was taken");
                assert!(score <= Score::Two, "{text} is refused, and its score is {score}");
            }
        }
        for text in ["11111111", "abcdefghijkl", "zzzzzzzzzzzz", "87654321", "123123123", "football", "superman"] {
            assert_eq!(zxcvbn(text, &[]).score(), Score::Zero, "{text}");
            assert!(Password::parse(text).is_err(), "{text} was taken");
        }
    }
}
