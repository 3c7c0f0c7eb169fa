//! Others are told what became of a mail before its task moves on: afterwards nobody here would know.

use contract::TaskId;
use tokio::time::Instant;

use super::Processor;
use super::outcome::{Deferral, Outcome};
use super::settle::{HAND_ON, MARK};
use super::task::Task;
use crate::delivery::dead_letter::DeadLetter;
use crate::events;
use crate::ledger::{Cancelled, Record};
use crate::send::classify::DeadReason;
use crate::smtp::SendError;

/// Why an event was not written.
enum Untold {
    /// The database did not take it in time.
    Late,
    /// The ledger ended with the worker.
    Cancelled,
}

impl Processor {
    /// Writes the event of a run, where there is one. What becomes of the task: the same, unless the database is away for longer than a
    /// task may be held. Then the run counts as none, so that another one tells.
    pub(super) async fn tell_of(&self, task: &Task, outcome: Outcome, said: Option<&SendError>) -> Outcome {
        let Some(event) = self.events.ended(task, &outcome, said, self.clock.now()) else { return outcome };
        // Its claim did not mark it: the two are one statement.
        let mark = matches!(outcome, Outcome::Suppressed).then(|| task.identity.id());
        let record = Record { mark, entry: None, event: Some(event) };
        match self.written(record, task.hold_until).await {
            Ok(()) => outcome,
            Err(Untold::Cancelled) => Outcome::Returned,
            Err(Untold::Late) if may_have_been_sent(&outcome) => {
                // To run it again without counting it would repeat the mail.
                self.is_untold(task.identity.id());
                outcome
            }
            Err(Untold::Late) if self.ends.drain.is_cancelled() => Outcome::Returned,
            Err(Untold::Late) => self.waits(Deferral::HeldTooLong),
        }
    }

    /// The same of a message that is no task. It can't be run again.
    pub(super) async fn tell_of_rejected(&self, id: TaskId, letter: &DeadLetter) {
        let Some(event) = self.events.rejected(id, letter, self.clock.now()) else { return };
        let record = Record { mark: None, entry: None, event: Some(event) };
        if self.written(record, Instant::now() + self.limits.hold).await.is_err() {
            self.is_untold(id);
        }
    }

    /// A worker that drains has little time, and one whose task was held for as long as it may gives the database a moment.
    async fn written(&self, record: Record, hold_until: Instant) -> Result<(), Untold> {
        let end = hold_until.max(Instant::now() + MARK.min(self.limits.hold));
        let too_late = async {
            let drained = async {
                self.ends.drain.cancelled().await;
                tokio::time::sleep(HAND_ON).await;
            };
            let _ = tokio::time::timeout_at(end, drained).await;
        };
        let written = async { self.ledger.begin_record(record).await?.done().await };
        tokio::select! {
            biased;
            written = written => written.map_err(|Cancelled| Untold::Cancelled),
            () = too_late => Err(Untold::Late),
        }
    }

    fn is_untold(&self, task: TaskId) {
        tracing::warn!(%task, "nobody is told what became of a mail: the database did not take its event");
        events::lost(1);
    }
}

/// Whether the mail may be with its recipient, and is counted by the way that its task goes.
fn may_have_been_sent(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Deferred { cause: Deferral::Unanswered { .. }, .. } => true,
        Outcome::Dead(letter) => letter.reason == DeadReason::OutcomeUnknown,
        _ => false,
    }
}
