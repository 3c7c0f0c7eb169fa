//! The messages a worker publishes: a task on its way to a retry queue, to the dead letters, or back to be run alone.
//!
//! Every move keeps the task's body, id and trace (attempts are siblings in one trace) and drops what the broker counted,
//! so that the counts of the new message are its own.

use std::time::{Duration, SystemTime};

use amqp::{Headers, Outgoing, Properties};
use contract::{Attempt, TaskId, header, queue};

use crate::delivery::dead_letter::DeadLetter;
use crate::delivery::task::Message;
use crate::send::classify::DeadReason;

/// A mail server may say as much as it likes; the rest of its words has no room in a header. Bytes.
const LONGEST_DETAIL: usize = 512;

/// A failed attempt: on to a retry queue, one failure richer.
pub fn to_retry(message: Message, delay: Duration, attempt: Attempt, first_failed: SystemTime) -> Outgoing {
    outgoing(message, queue::retry(delay), |headers| {
        headers.remove(header::DELIVERIES);
        headers.remove(header::SUSPECT);
        headers.set_u64(header::ATTEMPT, u64::from(u32::from(attempt)));
        headers.set_u64(header::FIRST_FAILED_AT, unix(first_failed));
    })
}

/// Handed over to the mail server, and not answered: as a failed attempt, and counted as one that may have been sent.
pub fn to_repeat(message: Message, delay: Duration, attempt: Attempt, first_failed: SystemTime) -> Outgoing {
    let mut outgoing = to_retry(message, delay, attempt, first_failed);
    one_more(&mut outgoing.properties.headers, header::UNKNOWN_OUTCOMES);
    outgoing
}

fn one_more(headers: &mut Headers, name: &str) {
    let so_far = headers.get_u64(name).unwrap_or(0);
    headers.set_u64(name, so_far.saturating_add(1));
}

/// Somebody else holds the task, or may: wait on a retry queue and look again. No attempt is spent.
pub fn to_wait(message: Message, delay: Duration, deliveries: u64) -> Outgoing {
    outgoing(message, queue::retry(delay), |headers| headers.set_u64(header::DELIVERIES, deliveries))
}

/// The worker drains: back to the queue that it came from, for another one.
pub fn to_hand_on(message: Message, queue: String, deliveries: u64) -> Outgoing {
    outgoing(message, queue, |headers| headers.set_u64(header::DELIVERIES, deliveries))
}

/// To those that are sent at the same speed.
pub fn to_set_apart(message: Message, queue: String, deliveries: u64) -> Outgoing {
    to_hand_on(message, queue, deliveries)
}

/// Delivered suspiciously often: back to the main queue, to be run with nothing else in flight.
pub fn to_suspect(message: Message) -> Outgoing {
    outgoing(message, queue::EMAIL.to_owned(), |headers| {
        headers.remove(header::DELIVERIES);
        headers.set_u64(header::SUSPECT, 1);
    })
}

/// What a message is known by where it goes: the task in every line of the log, and what `--id` takes.
pub fn id(outgoing: &Outgoing) -> Option<TaskId> {
    outgoing.properties.message_id.as_deref().map(TaskId::from_message_id)
}

/// For good: to the dead letters, with the reason. If that is how an attempt ended, it is counted.
pub fn to_dead_letters(message: Message, letter: &DeadLetter, now: SystemTime) -> Outgoing {
    outgoing(message, queue::DEAD.to_owned(), |headers| {
        if letter.reason == DeadReason::OutcomeUnknown {
            one_more(headers, header::UNKNOWN_OUTCOMES);
        }
        if letter.reason.ended_an_attempt() {
            one_more(headers, header::ATTEMPT);
        }
        headers.set_str(header::DEAD_REASON, letter.reason.slug());
        let detail = &letter.detail[..letter.detail.floor_char_boundary(LONGEST_DETAIL)];
        headers.set_str(header::DEAD_DETAIL, detail);
        headers.set_u64(header::DEAD_AT, unix(now));
    })
}

/// From the dead letters back to the queue, as if it had never failed.
pub fn to_redrive(message: Message, now: SystemTime) -> Outgoing {
    outgoing(message, queue::EMAIL.to_owned(), |headers| {
        for name in [
            header::DEAD_REASON,
            header::DEAD_DETAIL,
            header::DEAD_AT,
            header::ATTEMPT,
            header::UNKNOWN_OUTCOMES,
            header::FIRST_FAILED_AT,
            header::DELIVERIES,
            header::SUSPECT,
        ] {
            headers.remove(name);
        }
        headers.set_u64(header::REDRIVEN_AT, unix(now));
    })
}

/// To a queue that holds the same tasks, as it is.
pub fn to_queue(message: Message, queue: String) -> Outgoing {
    outgoing(message, queue, |_| {})
}

/// With our headers alone, where those of strangers leave no room for them.
pub fn without_strangers(outgoing: Outgoing) -> Outgoing {
    let Outgoing { queue, body, properties } = outgoing;
    let headers = properties.headers.only_ours();
    Outgoing { queue, body, properties: Properties { headers, ..properties } }
}

fn outgoing(message: Message, queue: String, edit: impl FnOnce(&mut Headers)) -> Outgoing {
    let Message { body, mut properties } = message;
    // What can't be read as a task has none yet: from now on every copy of it is the same message.
    let message_id = properties.message_id.take().filter(|id| !id.is_empty());
    let message_id = message_id.unwrap_or_else(|| TaskId::new().to_string());
    let mut headers = properties.headers.without_broker_counts();
    edit(&mut headers);
    Outgoing { queue, body, properties: Properties { message_id: Some(message_id), headers, ..properties } }
}

fn unix(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
