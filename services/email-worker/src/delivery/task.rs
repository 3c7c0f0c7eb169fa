//! A delivery read into a task: what came off the queue, in types.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amqp::{Delivery, Headers, Properties, Receipt};
use contract::{Attempt, MailTask, TaskId, header, queue};
use tokio::time::Instant;

use crate::controls::Apart;
use crate::delivery::dead_letter::DeadLetter;
use crate::send::classify::DeadReason;
use crate::suppressions::AddressHashes;

/// How often a task may have been delivered before it is suspected of killing its worker.
pub const SUSPECT_AFTER: u64 = 5;

/// What a task is known by in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// It carries a message id: every copy of it is the same task.
    Keyed(TaskId),
    /// A bare task, as the tutorial's producer publishes it.
    Bare {
        /// Made for this delivery. Nothing says which of several tasks with one content a delivery is, so the ledger is
        /// never asked whether it was sent before: every one of them is mailed.
        id: TaskId,
        /// What they share.
        content: TaskId,
    },
}

impl Identity {
    /// The ledger's key.
    pub fn id(self) -> TaskId {
        match self {
            Self::Keyed(id) | Self::Bare { id, .. } => id,
        }
    }
}

/// A message as it came, kept so that it can be published again unchanged.
#[derive(Debug, Clone)]
pub struct Message {
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// The AMQP properties.
    pub properties: Properties,
}

/// One mail to send, with its history.
#[derive(Debug)]
pub struct Task {
    /// The ledger's key and where it came from.
    pub identity: Identity,
    /// What to send.
    pub mail: MailTask,
    /// Attempts so far, each of which failed.
    pub attempt: Attempt,
    /// How often it was handed over to the mail server, and no answer came.
    pub unknown_outcomes: u32,
    /// When the first attempt failed; absent before any failure.
    pub first_failed: Option<SystemTime>,
    /// When the task was made, where that is known.
    pub created: Option<SystemTime>,
    /// When it is no longer worth sending: by its own word, as it is read; whoever runs it adds its type's.
    pub expires: Option<SystemTime>,
    /// Deliveries before this one, of this message and of the copies it comes from.
    pub deliveries: u64,
    /// It is to run alone: see [`SUSPECT_AFTER`].
    pub suspect: bool,
    /// Somebody put it back from the dead letters.
    pub redriven: bool,
    /// Which mails it came with; none: with all others. Whoever runs it adds it.
    pub apart: Option<Arc<Apart>>,
    /// What its address is known by among those that get no mails; whoever runs it adds it.
    pub address: Option<AddressHashes>,
    /// The broker says that it delivered this message before.
    pub redelivered: bool,
    /// When it has waited here for long enough: the broker takes a delivery back that is held for too long, and with it
    /// everything else that this worker holds.
    pub hold_until: Instant,
    /// What to publish when it has to go elsewhere.
    pub message: Message,
}

impl Task {
    /// Reads a delivery. `retention` is how long the ledger remembers: an older task cannot be told from a repeated one.
    ///
    /// # Errors
    /// A dead letter, with the reason, when the message can never become a mail.
    pub fn read(
        delivery: Delivery,
        now: SystemTime,
        retention: Duration,
        hold_until: Instant,
    ) -> (Receipt, Result<Self, Rejected>) {
        let Delivery { body, properties, redelivered, delivery_count, receipt } = delivery;
        let message = Message { body, properties };
        (receipt, Self::parse(message, redelivered, delivery_count, now, retention, hold_until))
    }

    #[allow(clippy::result_large_err, reason = "the message is moved on, not told")]
    fn parse(
        mut message: Message,
        redelivered: bool,
        delivery_count: u64,
        now: SystemTime,
        retention: Duration,
        hold_until: Instant,
    ) -> Result<Self, Rejected> {
        let properties = &message.properties;
        let (kind, encoding) = (properties.kind.as_deref(), properties.content_encoding.as_deref());
        let mail = match MailTask::read(kind, encoding, &message.body) {
            Ok(mail) => mail,
            Err(malformed) => {
                let letter = DeadLetter::new(DeadReason::Malformed(malformed), malformed);
                return Err(Rejected { message, letter });
            }
        };
        // One that can't be read in full names nothing: others may look the same.
        let names_it = |id: &&str| !id.is_empty() && !id.contains(amqp::UNREADABLE);
        let identity = match properties.message_id.as_deref().filter(names_it) {
            Some(id) => Identity::Keyed(TaskId::from_message_id(id)),
            None => Identity::Bare { id: TaskId::new(), content: TaskId::from_content(&message.body) },
        };
        let headers = &properties.headers;
        let created = created(properties, identity);
        let redriven = headers.get_u64(header::REDRIVEN_AT);
        let restarted = created.max(redriven.map(unix));
        if restarted.and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > retention) {
            let detail =
                format!("the ledger remembers {}: it may have been sent before", humantime::format_duration(retention));
            return Err(Rejected { message, letter: DeadLetter::new(DeadReason::TooOld, detail) });
        }
        let attempt = headers.get_u64(header::ATTEMPT).unwrap_or(0);
        let unknown_outcomes = count(headers, header::UNKNOWN_OUTCOMES);
        let expires = headers.get_u64(header::EXPIRES_AT).map(unix);
        let (first_failed, suspect) = (headers.get_u64(header::FIRST_FAILED_AT), headers.get_u64(header::SUSPECT));
        let deliveries = headers.get_u64(header::DELIVERIES).unwrap_or(0).saturating_add(delivery_count);
        if let Identity::Bare { id, .. } = identity {
            // Where it goes on from here it is known by this id, and every copy of it is the same task.
            message.properties.message_id = Some(id.to_string());
        }
        Ok(Self {
            identity,
            mail,
            attempt: Attempt::from(u32::try_from(attempt).unwrap_or(u32::MAX)),
            unknown_outcomes,
            first_failed: first_failed.map(unix),
            created,
            expires,
            deliveries,
            suspect: suspect.is_some(),
            redriven: redriven.is_some(),
            apart: None,
            address: None,
            redelivered,
            hold_until,
            message,
        })
    }

    /// The queue that it came from, as far as it is worth going back to it.
    pub fn queue(&self) -> String {
        self.apart.as_ref().map_or_else(|| queue::EMAIL.to_owned(), |apart| apart.queue())
    }

    /// It was delivered so often, without ever being finished, that it may be what kills the worker.
    pub fn is_newly_suspect(&self) -> bool {
        !self.suspect && self.deliveries >= SUSPECT_AFTER
    }
}

/// A message that can never become a mail.
#[derive(Debug)]
pub struct Rejected {
    /// As it came.
    pub message: Message,
    /// Why, for whoever reads the dead letters.
    pub letter: DeadLetter,
}

/// A producer's `timestamp`, else the moment in a version 7 id. Zero is a field that nobody filled in.
fn created(properties: &Properties, identity: Identity) -> Option<SystemTime> {
    properties.timestamp.filter(|at| *at > 0).map(unix).or_else(|| match identity {
        Identity::Keyed(id) => id.created_at().map(SystemTime::from),
        Identity::Bare { .. } => None,
    })
}

/// Some 30,000 years.
const FAR: Duration = Duration::from_secs(1 << 40);

fn count(headers: &Headers, name: &str) -> u32 {
    u32::try_from(headers.get_u64(name).unwrap_or(0)).unwrap_or(u32::MAX)
}

fn unix(seconds: u64) -> SystemTime {
    // A foreign clock may say anything; what lies beyond the calendar is yet to come.
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH + FAR)
}

#[cfg(test)]
mod tests;
