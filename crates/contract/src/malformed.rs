//! Why a message is no task, and how much one may hold.

use crate::InvalidEmailAddress;

/// Bodies are at most so long, in bytes. A task of ours is under 500.
pub const MAX_BODY: usize = 64 * 1024;

/// Longest name of a recipient, in characters. Our own API allows 32 for a username.
pub(crate) const MAX_NAME: usize = 256;

/// Why a message is no task. The texts never repeat what stood in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `type` can be the name of no mail type.
    #[error("the message has a type that no mail can have: letters, digits, - and _, in parts between dots")]
    BadType,
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
    /// One of our fields stands twice, or a name within `data` does.
    #[error("a name stands twice in one object of the body")]
    RepeatedName,
    /// `email` is missing, or not a text.
    #[error("the body has no text field `email`")]
    NoEmail,
    /// `email` is not one address.
    #[error("the address {0}")]
    BadEmail(InvalidEmailAddress),
    /// `username` is missing, or not a text, and the mail is the welcome mail.
    #[error("the body has no text field `username`")]
    NoUsername,
    /// `username` or `name` is empty, too long, or has control characters.
    #[error("the name is empty, longer than {MAX_NAME} characters, or has control characters")]
    BadUsername,
    /// `name` is there, and not a text.
    #[error("the field `name` is not a text")]
    BadName,
    /// `data` is there, and not a JSON object.
    #[error("the field `data` is not a JSON object")]
    BadData,
}

impl Malformed {
    /// A stable name to count and select by.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BadType => "bad-type",
            Self::TooLarge => "too-large",
            Self::UnknownEncoding => "unknown-encoding",
            Self::BadEncoding => "bad-encoding",
            Self::NotJson => "not-json",
            Self::RepeatedName => "repeated-name",
            Self::NoEmail => "no-email",
            Self::BadEmail(_) => "bad-email",
            Self::NoUsername => "no-username",
            Self::BadUsername => "bad-username",
            Self::BadName => "bad-name",
            Self::BadData => "bad-data",
        }
    }
}
