//! The task itself: the body of a message, read and written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::encoding::Encoding;
use crate::{EmailAddress, InvalidEmailAddress};

/// `type` of a message whose body is a [`WelcomeEmail`]. A message without a type is one too.
pub const TYPE_WELCOME: &str = "email.welcome";

/// Bodies are at most so long, in bytes. A task of ours is under 500.
pub const MAX_BODY: usize = 64 * 1024;

/// What some programs write before a text in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Longest username of a foreign producer, in characters. Our own API allows 32.
const MAX_USERNAME: usize = 256;
/// Longest language tag that is looked at, in characters.
const MAX_LOCALE: usize = 35;

/// Failures of a task so far; zero before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(u32);

impl Attempt {
    /// One more failure.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl From<u32> for Attempt {
    fn from(failures: u32) -> Self {
        Self(failures)
    }
}

impl From<Attempt> for u32 {
    fn from(attempt: Attempt) -> Self {
        attempt.0
    }
}

/// A language that mails are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Locale {
    /// English: the default.
    En,
    /// Chinese.
    Zh,
}

impl Locale {
    /// The language for a tag such as `zh`, `zh-CN` or `zh_Hans`; English for any other, and for none.
    pub fn pick(tag: Option<&str>) -> Self {
        let language = tag.and_then(|tag| tag.split(['-', '_']).next());
        if language.is_some_and(|language| language.eq_ignore_ascii_case("zh")) { Self::Zh } else { Self::En }
    }
}

/// "Welcome this user": the one task there is so far.
#[derive(Clone, PartialEq, Eq)]
pub struct WelcomeEmail {
    /// Who gets the mail.
    pub email: EmailAddress,
    /// How they are addressed. From a foreign producer: any text of up to 256 characters without control characters.
    pub username: String,
    /// A language tag (BCP 47), as given.
    pub locale: Option<String>,
}

impl fmt::Debug for WelcomeEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WelcomeEmail").field("locale", &self.locale).finish_non_exhaustive()
    }
}

/// Why a message is no task. The texts never repeat what stood in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `type` is none that this version knows.
    #[error("the message has a type that this worker does not know")]
    UnknownType,
    /// Over [`MAX_BODY`].
    #[error("the body is larger than {MAX_BODY} bytes, as it is or decompressed")]
    TooLarge,
    /// Not JSON, and `content-encoding` says something else than gzip or deflate.
    #[error("the body has a content-encoding that this worker does not know: gzip, deflate or none")]
    UnknownEncoding,
    /// It can't be decompressed.
    #[error("the body is not what its content-encoding says")]
    BadEncoding,
    /// Not a JSON object in UTF-8.
    #[error("the body is not a JSON object")]
    NotJson,
    /// `email` is missing, or not a text.
    #[error("the body has no text field `email`")]
    NoEmail,
    /// `email` is not one address.
    #[error("the address {0}")]
    BadEmail(InvalidEmailAddress),
    /// `username` is missing, or not a text.
    #[error("the body has no text field `username`")]
    NoUsername,
    /// `username` is empty, too long, or has control characters.
    #[error("the username is empty, longer than {MAX_USERNAME} characters, or has control characters")]
    BadUsername,
}

impl Malformed {
    /// A stable name to count and select by.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownType => "unknown-type",
            Self::TooLarge => "too-large",
            Self::UnknownEncoding => "unknown-encoding",
            Self::BadEncoding => "bad-encoding",
            Self::NotJson => "not-json",
            Self::NoEmail => "no-email",
            Self::BadEmail(_) => "bad-email",
            Self::NoUsername => "no-username",
            Self::BadUsername => "bad-username",
        }
    }
}

/// The body as it is written.
#[derive(Serialize)]
struct Written<'a> {
    email: &'a str,
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
}

/// The body as it is read: fields of any type, so that the reason names the field.
#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    email: Field,
    #[serde(default)]
    username: Field,
    #[serde(default)]
    locale: Field,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    #[default]
    Absent,
    Other(serde::de::IgnoredAny),
}

impl Field {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Other(_) => None,
        }
    }
}

impl WelcomeEmail {
    /// The body of the message.
    pub fn encode(&self) -> Vec<u8> {
        let written = Written { email: self.email.as_str(), username: &self.username, locale: self.locale.as_deref() };
        // Texts under texts always have a JSON form.
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads a message. `task_type` is its AMQP `type`, `encoding` its `content-encoding`: a compressed body is
    /// decompressed, as far as a body may go. An encoding that nobody knows is overlooked where the body is a task all the
    /// same.
    ///
    /// # Errors
    /// [`Malformed`]: it can never become a mail.
    pub fn read(task_type: Option<&str>, encoding: Option<&str>, body: &[u8]) -> Result<Self, Malformed> {
        let encoding = Encoding::named(encoding);
        match Self::decode(task_type, &encoding.decoded(body)?) {
            Err(Malformed::NotJson) if encoding == Encoding::Unknown => Err(Malformed::UnknownEncoding),
            read => read,
        }
    }

    /// Reads a message whose body is not compressed. `task_type` is its AMQP `type`. Unknown fields are ignored, and so is a locale that makes no
    /// sense: a mail in the default language is better than none.
    ///
    /// # Errors
    /// [`Malformed`]: it can never become a mail.
    pub fn decode(task_type: Option<&str>, body: &[u8]) -> Result<Self, Malformed> {
        if task_type.is_some_and(|task_type| !task_type.is_empty() && task_type != TYPE_WELCOME) {
            return Err(Malformed::UnknownType);
        }
        if body.len() > MAX_BODY {
            return Err(Malformed::TooLarge);
        }
        let body = body.strip_prefix(BOM).unwrap_or(body);
        // A struct would be read from an array too.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Malformed::NotJson);
        }
        let read: Read = serde_json::from_slice(body).map_err(|_| Malformed::NotJson)?;
        let email = read.email.text().ok_or(Malformed::NoEmail)?.parse().map_err(Malformed::BadEmail)?;
        let username = read.username.text().ok_or(Malformed::NoUsername)?;
        let length = username.chars().count();
        if !(1..=MAX_USERNAME).contains(&length) || username.chars().any(char::is_control) {
            return Err(Malformed::BadUsername);
        }
        let sane = |tag: &String| {
            tag.len() <= MAX_LOCALE && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        let locale = read.locale.text().filter(sane);
        Ok(Self { email, username, locale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<WelcomeEmail, Malformed> {
        WelcomeEmail::decode(None, body.as_bytes())
    }

    #[test]
    fn attempts_are_counted_and_stop_at_the_last_number() {
        for (failures, next) in [(0, 1), (7, 8), (u32::MAX, u32::MAX)] {
            assert_eq!(u32::from(Attempt::from(failures).next()), next);
        }
        assert_eq!(u32::from(Attempt::default()), 0);
    }

    #[test]
    fn a_task_reads_back_as_it_was_written() {
        for locale in [None, Some("zh-CN".to_owned())] {
            let email = "ada@example.com".parse().expect("valid");
            let task = WelcomeEmail { email, username: "ada <>&\"".to_owned(), locale };
            assert_eq!(WelcomeEmail::decode(Some(TYPE_WELCOME), &task.encode()), Ok(task));
        }
    }

    #[test]
    fn a_task_shows_its_language_alone() {
        let task = decode(r#"{"email":"ada@example.com","username":"ada","locale":"zh"}"#).expect("valid");
        assert_eq!(format!("{task:?}"), r#"WelcomeEmail { locale: Some("zh"), .. }"#);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        let task = r#"{"email":"ada@example.com","username":"ada"}"#;
        assert_eq!(decode(&format!("\u{feff}{task}")), decode(task));
        assert_eq!(decode(&format!("\u{feff}\u{feff}{task}")), Err(Malformed::NotJson));
    }

    #[test]
    fn what_is_no_task_is_refused_with_the_reason() {
        let large = format!(r#"{{"email":"a@b.c","username":"{}"}}"#, "a".repeat(MAX_BODY));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_email = format!(r#"{{"email":{}{},"username":"a"}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for (body, reason) in [
            ("", "not-json"),
            ("hello", "not-json"),
            ("[]", "not-json"),
            (r#"["ada@example.com","ada"]"#, "not-json"),
            ("\"text\"", "not-json"),
            (r#"{"email":"ada@example.com","username":"ada""#, "not-json"),
            (r#"{"email":"\ud800@example.com","username":"ada"}"#, "not-json"),
            ("{}", "no-email"),
            (r#"{"email":null,"username":"ada"}"#, "no-email"),
            (r#"{"email":7,"username":"ada"}"#, "no-email"),
            (r#"{"email":"nobody","username":"ada"}"#, "bad-email"),
            (r#"{"email":"a@b.c\r\nBcc: d@e.f","username":"ada"}"#, "bad-email"),
            (r#"{"email":"ada@example.com"}"#, "no-username"),
            (r#"{"email":"ada@example.com","username":{"a":1}}"#, "no-username"),
            (r#"{"email":"ada@example.com","username":""}"#, "bad-username"),
            (r#"{"email":"ada@example.com","username":"a\r\nBcc: d@e.f"}"#, "bad-username"),
            (large.as_str(), "too-large"),
            (deep.as_str(), "too-large"),
            (deep_email.as_str(), "not-json"),
        ] {
            let shown = body.get(..60).unwrap_or(body);
            assert_eq!(decode(body).map_err(Malformed::reason), Err(reason), "{shown}");
        }
        assert_eq!(WelcomeEmail::decode(Some("email.goodbye"), b"{}"), Err(Malformed::UnknownType));
    }

    #[test]
    fn a_reason_never_repeats_the_address() {
        let error = decode(r#"{"email":"ada@","username":"ada"}"#).expect_err("no domain");
        assert!(!error.to_string().contains("ada"), "{error}");
    }

    #[test]
    fn a_language_tag_picks_the_language_and_a_senseless_one_is_left_out() {
        for (tag, language) in [
            (None, Locale::En),
            (Some("zh"), Locale::Zh),
            (Some("ZH-cn"), Locale::Zh),
            (Some("zh_Hans"), Locale::Zh),
            (Some("zha"), Locale::En),
            (Some("de"), Locale::En),
            (Some(""), Locale::En),
        ] {
            assert_eq!(Locale::pick(tag), language, "{tag:?}");
        }
        let task = decode(r#"{"email":"ada@example.com","username":"ada","locale":"\r\nzh"}"#).expect("harmless");
        assert_eq!(task.locale, None);
        let task = decode(r#"{"email":"ada@example.com","username":"ada","locale":7}"#).expect("harmless");
        assert_eq!(task.locale, None);
    }
}
