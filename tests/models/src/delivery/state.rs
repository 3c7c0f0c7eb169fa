//! All that there is at one moment: the queue, the runs of each worker, the ledger's row.

use super::WORKERS;

/// Where a task is put that is not mailed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Away {
    /// Tried again later. Retry queues and queue are one here: time is not modelled.
    Retry,
    /// For good.
    DeadLetters,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It has a delivery.
    Holds,
    /// The ledger said that the task is its own; it waits for a permit of the rate.
    Claimed,
    /// It looked at its claim, and said `MAIL`: the claim outlasts this.
    Sending,
    /// The mail server took the mail.
    Accepted {
        /// A named window is open for this mail already.
        excused: bool,
    },
    /// The ledger knows that the mail was sent, by whomever. The place is given up.
    Marked,
    /// The task goes away, and its copy is to be published. The place is given up.
    Republishing(Away),
    /// The copy is published.
    Republished,
}

/// A task in a worker, with the deliveries that are settled together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    pub(super) stage: Stage,
    /// Deliveries that the broker waits for; those of a lost connection are stale and not among them.
    pub(super) receipts: u8,
}

/// The ledger's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// There is none, or its claim is over.
    Free,
    /// Claimed by this worker; by nobody, when its process died: the next one has another name.
    Held(Option<usize>),
    /// The mail was sent.
    Sent,
}

/// A release that was given up as unheard, and is still on its way to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Late {
    /// Whose.
    pub(super) worker: usize,
    /// That worker has claimed the task again since.
    pub(super) outrun: bool,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) ready: u8,
    pub(super) runs: [Vec<Run>; WORKERS],
    pub(super) row: Row,
    pub(super) late: Option<Late>,
    pub(super) mails: u8,
    pub(super) dead_letters: u8,
    /// How often the task was there at most: published by the relay, and doubled by faults.
    pub(super) copies: u8,
    /// Repetitions that the named windows allow, so far.
    pub(super) allowed: u8,
    /// Outcomes that nobody knows, as the header of the task's copies counts them.
    pub(super) unknown: u8,
    /// Mails that were sent where the answer was lost.
    pub(super) unheard: u8,
    /// Refused for good after a mail that no window excuses.
    pub(super) refused_after_mail: bool,
    pub(super) faults: u8,
}

impl Run {
    /// Nothing is left to do but to acknowledge.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Marked | Stage::Republished)
    }
}

impl State {
    pub(super) fn release(&mut self, w: usize) {
        if self.row == Row::Held(Some(w)) {
            self.row = Row::Free;
        }
    }

    pub(super) fn publish(&mut self, away: Away) {
        match away {
            Away::Retry => self.ready += 1,
            Away::DeadLetters => self.dead_letters += 1,
        }
    }

    /// A mail that may be sent again, since nobody will know of it in time.
    pub(super) fn excuse(&mut self, stage: &mut Stage) {
        if *stage == (Stage::Accepted { excused: false }) {
            *stage = Stage::Accepted { excused: true };
            self.allowed += 1;
        }
    }

    pub(super) fn crash(&mut self, w: usize) {
        self.faults += 1;
        for mut run in std::mem::take(&mut self.runs[w]) {
            self.ready += run.receipts;
            self.copies += u8::from(run.stage == Stage::Republished);
            // The mail server has it, and the ledger will never know.
            self.excuse(&mut run.stage);
        }
        if self.row == Row::Held(Some(w)) {
            self.row = Row::Held(None);
        }
        // The next process has another name.
        self.late = self.late.filter(|late| late.worker != w);
    }

    /// Runs go on: what they held is ready again, and they don't know.
    pub(super) fn disconnect(&mut self, w: usize) {
        self.faults += 1;
        for run in &mut self.runs[w] {
            self.copies += u8::from(run.receipts > 0 && run.stage != Stage::Marked);
            self.ready += std::mem::take(&mut run.receipts);
        }
    }

    /// The claim runs out.
    pub(super) fn expire(&mut self) {
        if let Row::Held(Some(owner)) = self.row {
            // Accepted, and its mark can't be written for so long: the database is away, or the worker stands still.
            let mut runs = std::mem::take(&mut self.runs[owner]);
            runs.iter_mut().for_each(|run| self.excuse(&mut run.stage));
            self.runs[owner] = runs;
        }
        self.row = Row::Free;
    }

    pub(super) fn broker_has_it(&self) -> bool {
        self.ready > 0 || self.runs.iter().flatten().any(|run| run.receipts > 0)
    }

    pub(super) fn settled(&self) -> usize {
        self.runs.iter().flatten().filter(|run| run.is_settled()).count()
    }

    /// Copies that may still become something: ready, or in a run.
    pub(super) fn open(&self) -> usize {
        usize::from(self.ready) + self.runs.iter().map(Vec::len).sum::<usize>() - self.settled()
    }

    /// Nobody has anything left to do.
    pub fn is_quiet(&self) -> bool {
        self.ready == 0 && self.runs.iter().all(Vec::is_empty)
    }
}
