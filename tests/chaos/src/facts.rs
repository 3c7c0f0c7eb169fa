//! What a run left behind, as plain values: everything that the rules of [`checker`](crate::checker) look at.
//! Times are seconds since the run began.

use std::collections::{HashMap, HashSet};

use contract::TaskId;

use crate::schedule::{Kind, Victim};

/// A fault as it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Happened {
    pub(crate) victim: Victim,
    pub(crate) kind: Kind,
    /// When the schedule has it begin.
    pub(crate) planned: f64,
    pub(crate) from: f64,
    pub(crate) until: f64,
}

impl Happened {
    /// Whether the one before it, of the same victim, took so long to heal that this one is not where the schedule has it.
    pub(crate) fn is_late(&self) -> bool {
        self.from - self.planned > LATE
    }
}

/// A fault that begins so much later than planned is told of.
const LATE: f64 = 1.0;

/// Something that has to become a mail.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) email: String,
    /// No copy of it is older.
    pub(crate) since: f64,
    /// Committed with its user, or published and confirmed. Else nobody promised anything.
    pub(crate) promised: bool,
}

/// Bare tasks with one content: nothing tells them apart, so they are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Twins {
    pub(crate) email: String,
    /// Published and confirmed.
    pub(crate) confirmed: usize,
    /// Published, perhaps: each try counts.
    pub(crate) tries: usize,
    /// Among the dead letters.
    pub(crate) put_aside: usize,
}

/// A mail that the mail server took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Acceptance {
    pub(crate) id: TaskId,
    pub(crate) email: String,
    /// Which worker sent it.
    pub(crate) worker: usize,
    /// When its recipient was named.
    pub(crate) begun: f64,
    /// When it was taken.
    pub(crate) at: f64,
    /// The server hung up instead of saying so.
    pub(crate) unsaid: bool,
}

/// A line in which a worker says that it heard the mail server's 250, or a mark that the ledger committed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Note {
    pub(crate) id: TaskId,
    pub(crate) worker: usize,
    pub(crate) at: f64,
}

/// What lies in the queue of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) id: Option<TaskId>,
    pub(crate) reason: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) faults: Vec<Happened>,
    /// Addresses that clients registered, each again and again until the answer was 201.
    pub(crate) asked: Vec<String>,
    /// Addresses in `users`.
    pub(crate) users: HashSet<String>,
    /// Addresses whose registration was answered 201.
    pub(crate) created: HashSet<String>,
    /// Tasks that were committed to the outbox.
    pub(crate) committed: Vec<Task>,
    /// Tasks that were published straight into the queue.
    pub(crate) published: Vec<Task>,
    /// Tasks without ids.
    pub(crate) twins: Vec<Twins>,
    /// In the order of their arrival.
    pub(crate) mails: Vec<Acceptance>,
    pub(crate) heard: Vec<Note>,
    pub(crate) marks: Vec<Note>,
    /// Mails that listeners were told of as sent, as often as they were.
    pub(crate) told: Vec<TaskId>,
    pub(crate) dead: Vec<Dead>,
    /// Recipients that the mail server refused for good, and when it last did.
    pub(crate) refused: HashMap<String, f64>,
    /// What still lies in which queue, or in the outbox.
    pub(crate) left: Vec<(String, u64)>,
    /// Answers of the API that no client should get, and services that ended by themselves.
    pub(crate) odd: Vec<String>,
}

impl Facts {
    /// All tasks.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.committed.iter().chain(&self.published)
    }

    /// The positions in `mails` by task.
    pub(crate) fn mails_by_task(&self) -> HashMap<TaskId, Vec<usize>> {
        let mut by_task: HashMap<TaskId, Vec<usize>> = HashMap::new();
        for (n, mail) in self.mails.iter().enumerate() {
            by_task.entry(mail.id).or_default().push(n);
        }
        by_task
    }

    /// Whether a fault of such a victim and kind overlaps these seconds.
    pub(crate) fn trouble(&self, from: f64, until: f64, which: impl Fn(&Happened) -> bool) -> bool {
        self.faults.iter().any(|fault| fault.from <= until && fault.until >= from && which(fault))
    }
}
