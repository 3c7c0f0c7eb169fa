//! What became of mails, on paper.

use std::io::{self, Write};
use std::time::Duration;

use platform::table::{Table, printable};
use serde_json::{Value, json};

use super::find::Attempt;
use super::find::Mail;
use super::story::Story;
use crate::paper::{hex, rfc3339, seconds};

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
    let failed: Vec<Value> = story.attempts_of(mail).map(attempt).collect();
    json!({
            "id": mail.id,
            "type": mail.mail_type,
            "recipient": mail.recipient.as_deref().map(hex),
            "domain": mail.domain,
            "state": mail.state,
            "reason": mail.reason,
            "detail": mail.detail,
            "attempts": mail.attempts,
            "created": mail.created.map(rfc3339),
            "changed": rfc3339(mail.changed),
            "due": mail.due.map(rfc3339),
            "trace": mail.trace_id.as_deref().map(hex),
            "failed": failed,
    })
}

fn milliseconds(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.took.microseconds / 1000).unwrap_or_default()
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "at": rfc3339(attempt.at),
        "number": attempt.number,
        "state": attempt.state,
        "stage": attempt.stage,
        "code": attempt.code,
        "enhanced": attempt.enhanced,
        "text": attempt.text,
        "took_ms": milliseconds(attempt),
        "worker": attempt.worker,
    })
}
