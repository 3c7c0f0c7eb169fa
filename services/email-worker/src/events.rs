//! Events of mails: what became of each, for whoever binds a queue to the exchange `email.events`.
//!
//! An event is written by the statement that marks its mail as sent, or by one of its own before its task moves on; both are the
//! marks' (`ledger/marks.rs`). From its table a relay brings it to the broker, at least once. Where events are off nothing of this is
//! done. What they say is a public contract: `docs/events.md`. Why so: decision 37 in `docs/decisions`.

mod event;
mod kinds;
mod relay;
pub(crate) mod store;

use std::time::SystemTime;

use contract::{EventKind, TaskId};
use opentelemetry::global;

pub(crate) use self::event::Event;
pub use self::kinds::{EventKinds, EventSource, InvalidKinds, InvalidSource};
pub(crate) use self::relay::start;
use crate::delivery::DeadLetter;
use crate::delivery::log::tells;
use crate::delivery::outcome::Outcome;
use crate::delivery::task::Task;
use crate::smtp::{Accepted, SendError};

/// Which events a worker writes. Cheap to clone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events(EventKinds);

impl Events {
    /// Those of these kinds.
    pub(crate) fn of(kinds: EventKinds) -> Self {
        Self(kinds)
    }

    /// Whether suppressed mails have one: these are marked with it, and not with their claim.
    pub(crate) fn tell_of_suppressed(self) -> bool {
        self.0.contains(EventKind::Suppressed)
    }

    /// The mail server took a mail now.
    pub(crate) fn sent(self, task: &Task, accepted: &Accepted, now: SystemTime) -> Option<Event> {
        self.0.contains(EventKind::Sent).then(|| Event::sent(task, accepted, now))
    }

    /// A run came to this, and it is not that its mail was sent. `said` is why the last conversation failed, if there was one.
    pub(crate) fn ended(
        self,
        task: &Task,
        outcome: &Outcome,
        said: Option<&SendError>,
        now: SystemTime,
    ) -> Option<Event> {
        let kind = kind(outcome).filter(|kind| self.0.contains(*kind))?;
        Some(Event::ended(kind, task, outcome, said, now))
    }

    /// A message is put aside that can't be read as a task.
    pub(crate) fn rejected(self, id: TaskId, letter: &DeadLetter, now: SystemTime) -> Option<Event> {
        self.0.contains(EventKind::Dead).then(|| Event::rejected(id, letter, now))
    }
}

/// The kind of event that tells of an outcome, where it is one that the mark does not tell of.
fn kind(outcome: &Outcome) -> Option<EventKind> {
    let kind = match outcome {
        Outcome::Deferred { .. } => EventKind::Deferred,
        Outcome::Dead(_) => EventKind::Dead,
        Outcome::Expired => EventKind::Expired,
        Outcome::Suppressed => EventKind::Suppressed,
        Outcome::Sent(_) | Outcome::Duplicate | Outcome::SetApart(_) | Outcome::Suspected | Outcome::Returned => {
            return None;
        }
    };
    tells(outcome).then_some(kind)
}

/// Counts events that nobody will hear of. Told as 0 at the start, or nobody could see the first one as a rise.
pub(crate) fn lost(events: u64) {
    let counter = global::meter("email-worker")
        .u64_counter("sluice.events.lost")
        .with_unit("{event}")
        .with_description("Events that were not written, or that waited for so long that they were dropped.")
        .build();
    counter.add(events, &[]);
}
