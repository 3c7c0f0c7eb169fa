//! What became of mails, on paper.

use std::io::{self, Write};
use std::time::Duration;

use platform::table::{Table, printable};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::find::Attempt;
use super::find::Mail;
use super::story::{Beyond, Story};
use crate::paper::{hex, rfc3339, seconds, value};

const UNKNOWN: &str = "nothing is known of it: not delivered to a worker yet, or forgotten";

/// A table of mails, and one of their attempts.
///
/// # Errors
/// It can't be written.
pub fn table(mut out: impl Write, story: &Story) -> io::Result<()> {
    match story.beyond() {
        Some(beyond) => writeln!(out, "{}", beyond.sentence())?,
        None if story.is_empty() => writeln!(out, "{UNKNOWN}")?,
        None => {}
    };
    if story.mails.is_empty() {
        return out.flush();
    }
    let mut mails = Table::new(out, &["ID", "TYPE", "DOMAIN", "STATE", "ATTEMPTS", "CHANGED", "NEXT", "WHY"]);
    for mail in &story.mails {
        let why = mail.detail.as_deref().or(mail.reason.as_deref()).unwrap_or_default();
        mails.push(vec![
            mail.id.to_string(),
            mail.mail_type.clone(),
            mail.domain.clone(),
            mail.reason.as_ref().map_or_else(|| mail.state.clone(), |reason| format!("{}: {reason}", mail.state)),
            mail.attempts.to_string(),
            seconds(mail.changed),
            mail.due.map(seconds).unwrap_or_default(),
            printable(why),
        ])?;
    }
    mails.flush()?;
    let mut out = mails.into_inner();
    if story.attempts.is_empty() {
        return out.flush();
    }
    writeln!(out)?;
    let mut attempts = Table::new(out, &["ID", "ATTEMPT", "AT", "TOOK", "STAGE", "WORKER", "SAID"]);
    for attempt in story.mails.iter().flat_map(|mail| story.attempts_of(mail)) {
        attempts.push(vec![
            attempt.id.to_string(),
            attempt.number.to_string(),
            seconds(attempt.at),
            humantime::format_duration(Duration::from_millis(milliseconds(attempt))).to_string(),
            attempt.stage.clone().unwrap_or_default(),
            printable(&attempt.worker),
            printable(&attempt.text),
        ])?;
    }
    attempts.flush()
}

/// One JSON object a line, with the attempts in it.
///
/// # Errors
/// They can't be written.
pub fn lines(mut out: impl Write, story: &Story) -> io::Result<()> {
    if let (Some(beyond), true) = (story.beyond(), story.mails.is_empty()) {
        writeln!(out, "{}", json!({ "state": beyond.slug(), "attempts": 0 }))?;
    }
    for mail in &story.mails {
        writeln!(out, "{}", object(story, mail))?;
    }
    out.flush()
}

/// A mail with its attempts, as programs read it.
pub fn object(story: &Story, mail: &Mail) -> Value {
    value(&MailObject {
        id: mail.id.to_string(),
        mail_type: Some(mail.mail_type.clone()),
        recipient: mail.recipient.as_deref().map(hex),
        domain: Some(mail.domain.clone()),
        state: mail.state.clone(),
        reason: mail.reason.clone(),
        detail: mail.detail.clone(),
        attempts: mail.attempts,
        created: mail.created.map(rfc3339),
        changed: Some(rfc3339(mail.changed)),
        due: mail.due.map(rfc3339),
        trace: mail.trace_id.as_deref().map(hex),
        failed: story.attempts_of(mail).map(attempt).collect(),
    })
}

/// One of which the log does not know, and somebody else does.
pub fn object_beyond(id: &str, beyond: Beyond) -> Value {
    let (id, state) = (id.to_owned(), beyond.slug().to_owned());
    value(&MailObject { id, state, ..MailObject::default() })
}

/// A mail, as the log knows it: what it does not know is null.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Mail)]
pub struct MailObject {
    /// The id of its task.
    id: String,
    #[serde(rename = "type")]
    mail_type: Option<String>,
    /// Keyed hash of the recipient's address, in hexadecimal digits.
    recipient: Option<String>,
    /// The recipient's domain.
    domain: Option<String>,
    /// What became of it so far: `sent`, `retried`, `dead`, `expired`, `suppressed`, .. Beside the log the ledger may know: `sending`,
    /// `waiting`, `done`.
    #[schema(example = "sent")]
    state: String,
    /// Why it is dead.
    reason: Option<String>,
    /// The same in a sentence.
    detail: Option<String>,
    /// Attempts so far.
    attempts: i32,
    /// When its task was made; RFC 3339.
    created: Option<String>,
    /// Since when it is so.
    changed: Option<String>,
    /// When it is tried again.
    due: Option<String>,
    /// The id of its trace.
    trace: Option<String>,
    /// Attempts that were no plain successes.
    failed: Vec<AttemptObject>,
}

/// An attempt that was not a plain success.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptObject {
    /// When; RFC 3339.
    at: String,
    /// The first is 1.
    number: i32,
    /// What became of the mail by it.
    state: String,
    /// How far the conversation with the mail server had come.
    stage: Option<String>,
    /// What the mail server answered.
    #[schema(example = 552)]
    code: Option<i16>,
    /// The same, more closely (RFC 3463).
    #[schema(example = "5.2.2")]
    enhanced: Option<String>,
    /// The same in words, without addresses.
    text: String,
    /// How long it took, in milliseconds.
    took_ms: u64,
    /// Which worker it was.
    worker: String,
}

fn milliseconds(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.took.microseconds / 1000).unwrap_or_default()
}

fn attempt(attempt: &Attempt) -> AttemptObject {
    AttemptObject {
        at: rfc3339(attempt.at),
        number: attempt.number,
        state: attempt.state.clone(),
        stage: attempt.stage.clone(),
        code: attempt.code,
        enhanced: attempt.enhanced.clone(),
        text: attempt.text.clone(),
        took_ms: milliseconds(attempt),
        worker: attempt.worker.clone(),
    }
}
