//! Which events are wanted, and whose they are: the variables, read.

use std::fmt;
use std::str::FromStr;

use contract::EventKind;

/// A set of kinds: `off`, `on` for all, or a list such as `sent,dead`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventKinds(u8);

impl EventKinds {
    fn with(self, kind: EventKind) -> Self {
        Self(self.0 | bit(kind))
    }

    /// Whether this one is wanted.
    pub fn contains(self, kind: EventKind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// Whether none is.
    pub fn is_off(self) -> bool {
        self.0 == 0
    }
}

fn bit(kind: EventKind) -> u8 {
    1 << kind as u8
}

/// Why a text names no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is neither off, nor on, nor a list of sent, deferred, dead, expired and suppressed, with commas between")]
pub struct InvalidKinds;

impl FromStr for EventKinds {
    type Err = InvalidKinds;

    fn from_str(text: &str) -> Result<Self, InvalidKinds> {
        match text {
            "off" => Ok(Self::default()),
            "on" => Ok(EventKind::ALL.iter().copied().fold(Self::default(), Self::with)),
            list => list.split(',').try_fold(Self::default(), |kinds, word| {
                EventKind::by_word(word.trim()).map(|kind| kinds.with(kind)).ok_or(InvalidKinds)
            }),
        }
    }
}

impl fmt::Display for EventKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_off() {
            return f.write_str("off");
        }
        let words: Vec<_> =
            EventKind::ALL.iter().filter(|kind| self.contains(**kind)).map(|kind| kind.word()).collect();
        f.write_str(&words.join(","))
    }
}

/// Longest source, in bytes: it is in a header of each event.
const LONGEST: usize = 255;

/// The `source` of all events: a URI reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource(String);

impl EventSource {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no URI reference such as /sluice or https://mail.example.com, of 1 to {LONGEST} bytes")]
pub struct InvalidSource;

impl FromStr for EventSource {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        // The characters of RFC 3986; what they mean is between those who write and those who read it.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        let is_one = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(fits);
        is_one.then(|| Self(text.to_owned())).ok_or(InvalidSource)
    }
}

impl fmt::Display for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_none_all_or_those_that_are_named() {
        for (text, shown) in [
            ("off", "off"),
            ("on", "sent,deferred,dead,expired,suppressed"),
            ("sent", "sent"),
            ("dead, sent", "sent,dead"),
            ("suppressed,suppressed", "suppressed"),
        ] {
            assert_eq!(text.parse::<EventKinds>().map(|kinds| kinds.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in ["", "all", "mail.sent", "sent,", "on,off", "sent dead"] {
            assert_eq!(text.parse::<EventKinds>(), Err(InvalidKinds), "{text}");
        }
    }

    #[test]
    fn a_source_is_a_uri_reference() {
        for text in ["/sluice", "https://mail.example.com/a?b=c#d", "urn:sluice:production", "sluice"] {
            assert!(text.parse::<EventSource>().is_ok_and(|source| source.to_string() == text), "{text}");
        }
        for text in ["", "two words", "/ä", "a\nb", "<a>", &"x".repeat(256)] {
            assert_eq!(text.parse::<EventSource>(), Err(InvalidSource), "{text}");
        }
    }
}
