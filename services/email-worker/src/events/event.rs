//! What an event says: from a task and its outcome, without I/O. Nothing in it is personal data.

use std::fmt::Write as _;
use std::time::SystemTime;

use contract::{EventKind, TaskId, header};
use platform::telemetry::context::{Carrier, current_traceparent};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid};

use crate::delivery::DeadLetter;
use crate::delivery::log::attempts_after;
use crate::delivery::outcome::{Deferral, Outcome};
use crate::delivery::task::Task;
use crate::mail_log::entry::{cut, moment};
use crate::send::classify::{self, DeadReason};
use crate::smtp::{Accepted, SendError};

/// An event, as it waits in the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(super) row: Uuid,
    pub(super) id: Uuid,
    pub(super) mail: Uuid,
    pub(super) kind: EventKind,
    pub(super) body: Vec<u8>,
    pub(super) trace: Carrier,
    pub(super) at: OffsetDateTime,
}

/// The body. A field that makes no sense for the mail, or whose value nobody knows, is not there.
#[derive(Debug, Serialize)]
struct Body<'t> {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_type: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<Recipient<'t>>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    created: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<Reply<'t>>,
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    until: Option<OffsetDateTime>,
}

#[derive(Debug, Serialize)]
struct Recipient<'t> {
    /// As in the mail log.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    domain: &'t str,
}

/// The mail server's answer, without addresses.
#[derive(Debug, Serialize)]
struct Reply<'t> {
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    enhanced: Option<String>,
    text: &'t str,
}

impl Event {
    /// The mail server took the mail.
    pub(super) fn sent(task: &Task, accepted: &Accepted, now: SystemTime) -> Self {
        let attempts = task.attempt.next().into();
        // A file says nothing.
        let reply = (!accepted.reply.is_empty()).then(|| Reply { code: 250, enhanced: None, text: &accepted.reply });
        Self::about(EventKind::Sent, task, &Body { reply, ..Body::of(task, attempts) }, now)
    }

    /// What a run came to.
    pub(super) fn ended(
        kind: EventKind,
        task: &Task,
        outcome: &Outcome,
        said: Option<&SendError>,
        now: SystemTime,
    ) -> Self {
        let mut body = Body::of(task, attempts_after(task, outcome));
        match outcome {
            Outcome::Deferred { delay, cause } => {
                body.until = now.checked_add(*delay).and_then(moment);
                if let Deferral::UnknownType { .. } = cause {
                    body.reason = Some(DeadReason::UnknownType.slug());
                } else if let Some(said) = said {
                    (body.reason, body.detail) = (Some(classify::reason(said).slug()), Some(cut(&said.to_string())));
                    body.reply = reply(said);
                }
            }
            Outcome::Dead(letter) => {
                (body.reason, body.detail) = (Some(letter.reason.slug()), Some(cut(&letter.detail)));
                body.reply = said.filter(|_| letter.reason.ended_an_attempt()).and_then(reply);
            }
            _ => {}
        }
        Self::about(kind, task, &body, now)
    }

    /// A message that is no task: of what it says nothing is repeated.
    pub(super) fn rejected(id: TaskId, letter: &DeadLetter, now: SystemTime) -> Self {
        let body = Body {
            reason: Some(letter.reason.slug()),
            detail: Some(cut(&letter.detail)),
            ..Body::without_a_task(id.as_uuid(), 0)
        };
        Self::new(EventKind::Dead, id.as_uuid(), None, &body, current_traceparent(), now)
    }

    fn about(kind: EventKind, task: &Task, body: &Body<'_>, now: SystemTime) -> Self {
        let redriven = task.message.properties.headers.get_u64(header::REDRIVEN_AT);
        Self::new(kind, task.identity.id().as_uuid(), redriven, body, trace(task), now)
    }

    fn new(
        kind: EventKind,
        mail: Uuid,
        redriven: Option<u64>,
        body: &Body<'_>,
        trace: Carrier,
        now: SystemTime,
    ) -> Self {
        Self {
            row: place(now),
            id: id(kind, mail, redriven, body.attempts),
            mail,
            kind,
            // Texts and numbers alone: they can be written.
            body: serde_json::to_vec(body).unwrap_or_default(),
            trace,
            at: moment(now).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }
}

impl<'t> Body<'t> {
    fn of(task: &'t Task, attempts: u32) -> Self {
        let recipient = Recipient {
            hash: task.address.as_ref().map(|address| hex(&address.now)),
            domain: task.mail.email.ascii_domain(),
        };
        Self {
            mail_type: Some(task.mail.mail_type.as_str()),
            recipient: Some(recipient),
            created: task.created.and_then(moment),
            ..Self::without_a_task(task.identity.id().as_uuid(), attempts)
        }
    }

    fn without_a_task(id: Uuid, attempts: u32) -> Self {
        Self {
            id,
            mail_type: None,
            recipient: None,
            attempts,
            created: None,
            reason: None,
            detail: None,
            reply: None,
            until: None,
        }
    }
}

fn reply(said: &SendError) -> Option<Reply<'_>> {
    let SendError::Refused { reply, .. } = said else { return None };
    let enhanced = reply.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
    Some(Reply { code: reply.code, enhanced, text: &reply.text })
}

/// The run's own, or where it has none that of its task, if it can be one: a stranger's header may hold anything.
fn trace(task: &Task) -> Carrier {
    let mut carrier = current_traceparent();
    if carrier.traceparent.is_none() {
        let of_task = task.message.properties.headers.get_str(header::TRACEPARENT);
        carrier.traceparent = of_task.filter(|text| is_traceparent(text)).map(str::to_owned);
    }
    carrier
}

/// Version, trace, parent, flags: <https://www.w3.org/TR/trace-context/#traceparent-header-field-values>.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut parts = text.split('-');
    let lengths = [2, 32, 16, 2].map(|length| parts.next().is_some_and(|part| part.len() == length && is_hex(part)));
    lengths == [true; 4] && parts.next().is_none()
}

/// The same for the same thing told twice, of whichever worker: this is how consumers know a repeat. A mail that was put back from the
/// dead letters counts its attempts anew.
fn id(kind: EventKind, mail: Uuid, redriven: Option<u64>, attempts: u32) -> Uuid {
    let digest = Sha256::new()
        .chain_update(kind.event_type())
        .chain_update(mail)
        .chain_update(redriven.unwrap_or(0).to_be_bytes())
        .chain_update(attempts.to_be_bytes())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

/// Events are relayed in the order of their moments, by the clock that all workers share.
fn place(now: SystemTime) -> Uuid {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_told_twice_has_one_id_and_anything_else_another() {
        let (mail, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = id(EventKind::Deferred, mail, None, 1);
        assert_eq!(first, id(EventKind::Deferred, mail, None, 1));
        for another in [
            id(EventKind::Dead, mail, None, 1),
            id(EventKind::Deferred, other, None, 1),
            id(EventKind::Deferred, mail, Some(7), 1),
            id(EventKind::Deferred, mail, None, 2),
        ] {
            assert_ne!(first, another);
        }
    }

    #[test]
    fn events_are_in_the_order_of_their_moments() {
        let at = |milliseconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(milliseconds);
        assert!(place(at(1_800_000_000_000)) < place(at(1_800_000_000_001)));
    }

    #[test]
    fn what_is_no_trace_is_not_told() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(trace));
        for other in ["", "ada@example.com", &trace[1..], &format!("{trace}-ada"), &trace.replace('4', "g")] {
            assert!(!is_traceparent(other), "{other}");
        }
    }

    #[test]
    fn bytes_are_written_as_hexadecimal_digits() {
        assert_eq!(hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }
}
