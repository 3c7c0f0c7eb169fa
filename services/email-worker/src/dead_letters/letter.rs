//! One dead letter, as far as it is listed and chosen by.

use std::time::{Duration, SystemTime};

use amqp::Properties;
use contract::{MailTask, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::paper::value;

/// One dead letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letter {
    /// The message id.
    pub id: String,
    /// Why it is here.
    pub reason: String,
    /// The sentence that goes with the reason.
    pub detail: String,
    /// The message's type; absent in a bare task.
    pub kind: Option<String>,
    /// Since when it is here.
    pub died: Option<SystemTime>,
    /// Attempts that were made, all of which failed.
    pub attempts: u64,
    /// The address, and the domain as it is looked up; absent where the body is no task.
    pub recipient: Option<(String, String)>,
}

/// A dead letter, as programs read it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct LetterObject<'a> {
    /// The id of its task.
    id: &'a str,
    /// Why it is dead.
    #[schema(example = "mailbox-full")]
    reason: &'a str,
    /// The same in a sentence.
    detail: &'a str,
    /// Its type; none of a bare task.
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    /// Since when, in seconds of Unix.
    dead_at: Option<u64>,
    /// For how long, in seconds.
    age_seconds: Option<u64>,
    /// Attempts that were made.
    attempts: u64,
    /// The address, where it was asked for by a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    email: Option<Option<&'a str>>,
}

impl Letter {
    /// Reads a message of the dead letters.
    pub fn read(properties: &Properties, body: &[u8]) -> Self {
        let headers = &properties.headers;
        let unix = |at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at));
        let (kind, encoding) = (properties.kind.as_deref(), properties.content_encoding.as_deref());
        let task = MailTask::read(kind, encoding, body).ok();
        Self {
            id: properties.message_id.clone().unwrap_or_default(),
            reason: headers.get_str(header::DEAD_REASON).unwrap_or("unknown").to_owned(),
            detail: headers.get_str(header::DEAD_DETAIL).unwrap_or_default().to_owned(),
            kind: properties.kind.clone(),
            died: headers.get_u64(header::DEAD_AT).and_then(unix),
            attempts: headers.get_u64(header::ATTEMPT).unwrap_or(0),
            recipient: task.map(|task| (task.email.as_str().to_owned(), task.email.ascii_domain().to_owned())),
        }
    }

    /// One object; the address only when asked for, since this may end up in a log.
    pub fn json(&self, now: SystemTime, with_address: bool) -> serde_json::Value {
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok().map(|at| at.as_secs());
        value(&LetterObject {
            id: &self.id,
            reason: &self.reason,
            detail: &self.detail,
            kind: self.kind.as_deref(),
            dead_at: self.died.and_then(seconds),
            age_seconds: self.age(now).map(|age| age.as_secs()),
            attempts: self.attempts,
            email: with_address.then(|| self.recipient.as_ref().map(|(email, _)| email.as_str())),
        })
    }

    /// How long it has been here.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.died?).ok()
    }
}
