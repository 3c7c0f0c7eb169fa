//! What became of mails, on paper.

use std::io::{self, Write};
use std::time::Duration;

use platform::table::{Table, printable};
use serde_json::{Value, json};

use super::find::{Attempt, Claimed, Mail};
use crate::paper::{hex, rfc3339, seconds};

/// What is known.
#[derive(Debug, Default)]
pub struct Story {
    /// The mails, the latest first.
    pub mails: Vec<Mail>,
    /// Their attempts that were not plain successes, the oldest first.
    pub attempts: Vec<Attempt>,
    /// What the ledger says, where one mail was asked for.
    pub in_ledger: Option<Claimed>,
}

impl Story {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.mails.is_empty() && self.in_ledger.is_none()
    }

    fn attempts_of<'a>(&'a self, mail: &'a Mail) -> impl Iterator<Item = &'a Attempt> {
        self.attempts.iter().filter(|attempt| attempt.id == mail.id)
    }

    /// What the ledger knows beyond the log.
    fn ledger(&self) -> Option<Beyond> {
        match self.in_ledger? {
            Claimed { claimed: true, .. } => Some(Beyond::Sending),
            Claimed { sent_at: Some(_), .. } if self.mails.iter().all(|mail| mail.state != "sent") => {
                Some(Beyond::Done)
            }
            Claimed { sent_at: None, .. } if self.mails.is_empty() => Some(Beyond::Waiting),
            Claimed { .. } => None,
        }
    }
}

/// What no row of the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// A worker has a claim on it.
    Sending,
    /// It was claimed once, and given back.
    Waiting,
    /// It is marked.
    Done,
}

impl Beyond {
    fn slug(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Done => "done",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Sending => "a worker has it at this moment",
            Self::Waiting => "a worker had it and could not try it yet: it waits for its next turn",
            Self::Done => "the ledger says that it is done; the log did not see it",
        }
    }
}

const UNKNOWN: &str = "nothing is known of it: not delivered to a worker yet, or forgotten";

/// A table of mails, and one of their attempts.
///
/// # Errors
/// It can't be written.
pub fn table(mut out: impl Write, story: &Story) -> io::Result<()> {
    match story.ledger() {
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
    if let (Some(beyond), true) = (story.ledger(), story.mails.is_empty()) {
        writeln!(out, "{}", json!({ "state": beyond.slug(), "attempts": 0 }))?;
    }
    for mail in &story.mails {
        let failed: Vec<Value> = story.attempts_of(mail).map(attempt).collect();
        let line = json!({
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
        });
        writeln!(out, "{line}")?;
    }
    out.flush()
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
