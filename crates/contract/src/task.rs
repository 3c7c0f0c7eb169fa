//! The task itself: the body of a message, read and written.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::encoding::Encoding;
use crate::malformed::{MAX_BODY, MAX_NAME, Malformed};
use crate::{EmailAddress, TypeName, Unique};

/// What some programs write before a text in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

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

/// One mail to send.
#[derive(Clone, PartialEq)]
pub struct MailTask {
    /// Which mail.
    pub mail_type: TypeName,
    /// Who gets it.
    pub email: EmailAddress,
    /// How they are addressed: any text of up to 256 characters without control characters. A welcome mail always has one.
    pub name: Option<String>,
    /// A language tag (BCP 47), as given.
    pub locale: Option<String>,
    /// What else the mail says.
    pub data: Map<String, Value>,
}

impl fmt::Debug for MailTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mail_type, locale, .. } = self;
        f.debug_struct("MailTask").field("mail_type", mail_type).field("locale", locale).finish_non_exhaustive()
    }
}

/// The body as it is written.
#[derive(Serialize)]
struct Written<'a> {
    email: &'a str,
    /// What the welcome mail has always called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    data: &'a Map<String, Value>,
}

/// The body as it is read: fields of any type, so that the reason names the field.
#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    email: Field,
    #[serde(default)]
    username: Field,
    #[serde(default)]
    name: Field,
    #[serde(default)]
    locale: Field,
    #[serde(default)]
    data: Unique,
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

impl MailTask {
    /// The welcome mail, as the tutorial's producer asks for it too.
    pub fn welcome(email: EmailAddress, username: String, locale: Option<String>) -> Self {
        Self { mail_type: TypeName::welcome(), email, name: Some(username), locale, data: Map::new() }
    }

    /// The body of the message.
    pub fn encode(&self) -> Vec<u8> {
        let name = self.name.as_deref();
        let (username, name) = if self.mail_type.is_welcome() { (name, None) } else { (None, name) };
        let (email, locale) = (self.email.as_str(), self.locale.as_deref());
        // Texts under texts always have a JSON form.
        serde_json::to_vec(&Written { email, username, name, locale, data: &self.data }).unwrap_or_default()
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

    /// Reads a message whose body is not compressed. `task_type` is its AMQP `type`; without one it is the welcome mail. Unknown fields
    /// are ignored, and so is a locale that makes no sense: a mail in the default language is better than none.
    ///
    /// # Errors
    /// [`Malformed`]: it can never become a mail.
    pub fn decode(task_type: Option<&str>, body: &[u8]) -> Result<Self, Malformed> {
        let mail_type = match task_type.filter(|task_type| !task_type.is_empty()) {
            None => TypeName::welcome(),
            Some(task_type) => task_type.parse().map_err(|_| Malformed::BadType)?,
        };
        if body.len() > MAX_BODY {
            return Err(Malformed::TooLarge);
        }
        let body = body.strip_prefix(BOM).unwrap_or(body);
        // A struct would be read from an array too.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Malformed::NotJson);
        }
        let Read { email, username, name, locale, data } =
            serde_json::from_slice(body).map_err(|error: serde_json::Error| unreadable(&error))?;
        let email = email.text().ok_or(Malformed::NoEmail)?.parse().map_err(Malformed::BadEmail)?;
        let name = name_of(&mail_type, username, name)?;
        let locale = locale.text().filter(|tag| is_sane(tag));
        let data = match data.0 {
            Value::Null => Map::new(),
            Value::Object(data) => data,
            _ => return Err(Malformed::BadData),
        };
        Ok(Self { mail_type, email, name, locale, data })
    }
}

/// Fields may be of any type, so that only a name that stands twice is not what the reader expects of JSON.
fn unreadable(error: &serde_json::Error) -> Malformed {
    if error.is_data() { Malformed::RepeatedName } else { Malformed::NotJson }
}

/// The welcome mail's is called `username`, as it always was; other mails may do without one.
fn name_of(mail_type: &TypeName, username: Field, name: Field) -> Result<Option<String>, Malformed> {
    let name = match (username.text(), name) {
        (Some(username), _) => Some(username),
        (None, Field::Text(name)) => Some(name),
        (None, _) if mail_type.is_welcome() => return Err(Malformed::NoUsername),
        (None, Field::Absent) => None,
        (None, Field::Other(_)) => return Err(Malformed::BadName),
    };
    let is_good = |name: &String| (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if name.as_ref().is_none_or(is_good) { Ok(name) } else { Err(Malformed::BadUsername) }
}

fn is_sane(tag: &str) -> bool {
    tag.len() <= MAX_LOCALE && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<MailTask, Malformed> {
        MailTask::decode(None, body.as_bytes())
    }

    fn decode_as(mail_type: &str, body: &str) -> Result<MailTask, Malformed> {
        MailTask::decode(Some(mail_type), body.as_bytes())
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
        let email: EmailAddress = "ada@example.com".parse().expect("valid");
        let data: Map<String, Value> = serde_json::from_str(r#"{"total":"12.50","items":[{"n":1}]}"#).expect("valid");
        for locale in [None, Some("zh-CN".to_owned())] {
            let task = MailTask::welcome(email.clone(), "ada <>&\"".to_owned(), locale.clone());
            assert_eq!(decode_as("email.welcome", &String::from_utf8_lossy(&task.encode())), Ok(task));
            for name in [None, Some("Ada".to_owned())] {
                let mail_type: TypeName = "shop.receipt".parse().expect("valid");
                let (email, locale, data) = (email.clone(), locale.clone(), data.clone());
                let task = MailTask { mail_type, email, name, locale, data };
                assert_eq!(decode_as("shop.receipt", &String::from_utf8_lossy(&task.encode())), Ok(task));
            }
        }
    }

    #[test]
    fn a_mail_of_another_type_needs_no_name_and_may_have_data() {
        for (body, name, fields) in [
            (r#"{"email":"ada@example.com"}"#, None, 0),
            (r#"{"email":"ada@example.com","name":"Ada","data":null}"#, Some("Ada"), 0),
            (r#"{"email":"ada@example.com","username":"ada","name":"Ada","data":{"a":1,"b":[]}}"#, Some("ada"), 2),
        ] {
            let task = decode_as("shop.receipt", body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!((task.name.as_deref(), task.data.len()), (name, fields), "{body}");
        }
        for (body, reason) in [
            (r#"{"email":"ada@example.com","name":7}"#, "bad-name"),
            (r#"{"email":"ada@example.com","name":""}"#, "bad-username"),
            (r#"{"email":"ada@example.com","data":[1]}"#, "bad-data"),
            (r#"{"email":"ada@example.com","data":"x"}"#, "bad-data"),
            (r#"{"name":"Ada"}"#, "no-email"),
        ] {
            assert_eq!(decode_as("shop.receipt", body).map_err(Malformed::reason), Err(reason), "{body}");
        }
    }

    #[test]
    fn the_welcome_mail_takes_a_name_for_a_username() {
        let task = decode(r#"{"email":"ada@example.com","name":"Ada"}"#).expect("valid");
        assert_eq!(task.name.as_deref(), Some("Ada"));
    }

    #[test]
    fn a_task_shows_its_type_and_its_language_alone() {
        let task =
            decode(r#"{"email":"ada@example.com","username":"ada","locale":"zh","data":{"a":1}}"#).expect("valid");
        let shown = r#"MailTask { mail_type: TypeName("email.welcome"), locale: Some("zh"), .. }"#;
        assert_eq!(format!("{task:?}"), shown);
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
        assert_eq!(decode_as("Email Goodbye", "{}"), Err(Malformed::BadType));
    }

    #[test]
    fn of_a_name_that_stands_twice_nobody_knows_which_was_meant() {
        for body in [
            r#"{"email":"a@example.com","data":{"total":1,"total":2}}"#,
            r#"{"email":"a@example.com","data":{"items":[{"n":1},{"n":1,"n":1}]}}"#,
            r#"{"email":"a@example.com","data":{},"data":{}}"#,
            r#"{"email":"a@example.com","email":"b@example.com"}"#,
        ] {
            assert_eq!(decode_as("shop.receipt", body), Err(Malformed::RepeatedName), "{body}");
        }
        // What nobody reads may be anything.
        let foreign = r#"{"email":"a@example.com","username":"a","x":1,"x":2,"y":{"z":1,"z":2}}"#;
        assert!(decode(foreign).is_ok());
    }

    #[test]
    fn a_reason_never_repeats_the_address() {
        let error = decode(r#"{"email":"ada@","username":"ada"}"#).expect_err("no domain");
        assert!(!error.to_string().contains("ada"), "{error}");
    }

    #[test]
    fn a_senseless_language_tag_is_left_out() {
        for locale in [r#""\r\nzh""#, "7", r#""a-tag-of-more-characters-than-any-language-has""#] {
            let task = decode(&format!(r#"{{"email":"ada@example.com","username":"ada","locale":{locale}}}"#));
            assert_eq!(task.expect("harmless").locale, None, "{locale}");
        }
    }
}
