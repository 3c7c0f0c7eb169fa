//! What becomes of a delivery, in one word from the mail server's reply to the metric's label.
//!
//! Which reply means what is [`send::classify`](crate::send::classify)'s; which outcome follows is drawn under "What becomes of a task"
//! in `docs/architecture.md`.

use std::time::{Duration, SystemTime};

use super::dead_letter::DeadLetter;
use crate::controls::Apart;
use crate::ledger::Marking;

/// What becomes of a delivery, and what is still to be done for it.
#[derive(Debug)]
pub enum Outcome {
    /// The mail server took the mail: acknowledged once this mark is durable.
    Sent(Marking),
    /// The ledger says it was sent before: acknowledged.
    Duplicate,
    /// Its time is over: acknowledged, and not sent.
    Expired,
    /// Its address is suppressed: marked with its claim, acknowledged, and not sent.
    Suppressed,
    /// To a retry queue.
    Deferred {
        /// Which: how long it waits there.
        delay: Duration,
        /// What for.
        cause: Deferral,
    },
    /// To the queue of the mails that are sent at a speed of their own, of which it is one.
    SetApart(Apart),
    /// Delivered suspiciously often: back to the main queue, to be run alone.
    Suspected,
    /// Put aside for good.
    Dead(DeadLetter),
    /// Back to the main queue, for another worker or another delivery; the claim is released.
    Returned,
}

/// Why a task waits on a retry queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deferral {
    /// An attempt failed.
    Failed {
        /// When the first attempt did.
        first_failed: SystemTime,
    },
    /// The mail server took the last byte and did not answer: an attempt, and one that may have been sent.
    Unanswered {
        /// When the first attempt failed.
        first_failed: SystemTime,
    },
    /// Nobody here knows mails of its type, yet: counted as an attempt.
    UnknownType {
        /// When the first attempt failed.
        first_failed: SystemTime,
    },
    /// Another worker has its claim. No attempt is spent.
    ClaimedElsewhere,
    /// It was held here for as long as it may be. No attempt is spent.
    HeldTooLong,
}

impl Outcome {
    /// The value of the attribute `sluice.disposition`, of metrics and spans.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Sent(_) => "sent",
            Self::Duplicate => "duplicate",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Deferred { cause: Deferral::UnknownType { .. }, .. } => "unknown_type",
            Self::Deferred { cause: Deferral::Failed { .. } | Deferral::Unanswered { .. }, .. } => "retried",
            Self::Deferred { cause: Deferral::ClaimedElsewhere, .. } => "waiting",
            Self::SetApart(_) => "set_apart",
            Self::Suspected => "suspected",
            Self::Dead(_) => "dead",
            Self::Deferred { cause: Deferral::HeldTooLong, .. } | Self::Returned => "handed_back",
        }
    }

    /// Why it is put aside, if it is.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Dead(letter) => Some(letter.reason.slug()),
            _ => None,
        }
    }

    /// Does another line tell where the task goes: the mail's own, or that of who paused or limited all of its like?
    pub(super) fn is_told(&self) -> bool {
        self.next().is_some() || matches!(self, Self::SetApart(_))
    }

    /// Where the task goes after an attempt, for that line.
    pub(super) fn next(&self) -> Option<String> {
        match self {
            Self::Deferred { delay, cause: Deferral::Failed { .. } | Deferral::Unanswered { .. } } => {
                Some(format!("again in {}", humantime::format_duration(*delay)))
            }
            Self::Dead(letter) => Some(format!("dead letter: {}", letter.reason.slug())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::classify::DeadReason;

    #[test]
    fn each_outcome_has_a_word_that_stays_and_an_attempts_line_tells_where_its_task_goes() {
        let first_failed = SystemTime::UNIX_EPOCH;
        let deferred = |cause| Outcome::Deferred { delay: Duration::from_secs(30), cause };
        let apart = Apart::new(None, Some("slow.example".to_owned())).expect("a domain");
        for (outcome, label, next) in [
            (Outcome::Duplicate, "duplicate", None),
            (Outcome::Expired, "expired", None),
            (Outcome::Suppressed, "suppressed", None),
            (deferred(Deferral::UnknownType { first_failed }), "unknown_type", None),
            (deferred(Deferral::Failed { first_failed }), "retried", Some("again in 30s")),
            (deferred(Deferral::Unanswered { first_failed }), "retried", Some("again in 30s")),
            (deferred(Deferral::ClaimedElsewhere), "waiting", None),
            (deferred(Deferral::HeldTooLong), "handed_back", None),
            (Outcome::SetApart(apart), "set_apart", None),
            (Outcome::Suspected, "suspected", None),
            (Outcome::Dead(DeadLetter::new(DeadReason::GaveUp, "550 no")), "dead", Some("dead letter: gave-up")),
            (Outcome::Returned, "handed_back", None),
        ] {
            assert_eq!((outcome.label(), outcome.next().as_deref()), (label, next), "{outcome:?}");
            let others_tell = label == "set_apart";
            assert_eq!(outcome.is_told(), next.is_some() || others_tell, "{outcome:?}");
        }
    }
}
