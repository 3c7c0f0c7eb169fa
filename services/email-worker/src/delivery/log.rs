//! What the mail log is told of a run: from a task and its outcome, without I/O.

use std::time::{Duration, SystemTime};

use contract::header;
use time::{Date, OffsetDateTime};
use tokio::time::Instant;

use super::outcome::{Deferral, Outcome};
use super::task::Task;
use crate::mail_log::entry::{count, cut, moment, trace_id};
use crate::mail_log::{Attempt, Entry, MailLog, Mode};
use crate::smtp::SendError;

impl MailLog {
    /// The row of a mail that was sent now, for the statement that marks it.
    pub(super) fn sent(&self, task: &Task, now: SystemTime) -> Option<Entry> {
        let troubled = u32::from(task.attempt) > 0 || task.redriven;
        match self.mode() {
            Mode::Off => None,
            Mode::Failures if !troubled => None,
            Mode::Failures | Mode::Full => Some(Entry::sent(task, now, self.day(first_run(task, None, now))?)),
        }
    }

    /// An attempt in which the mail server did not take the mail, begun at `began`, and what follows from it.
    pub(super) fn failed(&self, task: &Task, error: &SendError, began: Instant, outcome: &Outcome, now: SystemTime) {
        let Some(day) = self.day(first_run(task, Some(outcome), now)) else { return };
        self.note_attempt(|worker| Attempt::of(task, error, began.elapsed(), outcome, now, worker, day));
    }

    /// What a run came to. One that was sent is in the statement that marks it.
    pub(super) fn ended(&self, task: &Task, outcome: &Outcome, now: SystemTime) {
        if !tells(outcome) {
            return;
        }
        if let Some(day) = self.day(first_run(task, Some(outcome), now)) {
            self.note(Entry::of(task, outcome, now, day));
        }
    }
}

impl Entry {
    /// The mail server took it.
    fn sent(task: &Task, now: SystemTime, day: Date) -> Self {
        let attempts = count(task.attempt.next().into());
        Self { attempts, ..Self::about(task, "sent", now, day) }
    }

    /// What a run came to.
    fn of(task: &Task, outcome: &Outcome, now: SystemTime, day: Date) -> Self {
        let mut entry = Self::about(task, outcome.label(), now, day);
        entry.attempts = count(attempts_after(task, outcome));
        match outcome {
            Outcome::Deferred { delay, .. } => entry.due = now.checked_add(*delay).and_then(moment),
            Outcome::Dead(letter) => {
                entry.reason = Some(letter.reason.slug());
                entry.detail = Some(cut(&letter.detail));
            }
            _ => {}
        }
        entry
    }

    fn about(task: &Task, state: &'static str, now: SystemTime, day: Date) -> Self {
        Self {
            day,
            id: task.identity.id().as_uuid(),
            mail_type: task.mail.mail_type.to_string(),
            recipient: task.address.as_ref().map(|address| address.now),
            domain: task.mail.email.ascii_domain().to_owned(),
            state,
            reason: None,
            detail: None,
            attempts: 0,
            created: task.created.and_then(moment),
            changed: moment(now).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            due: None,
            trace_id: task.message.properties.headers.get_str(header::TRACEPARENT).and_then(trace_id),
        }
    }
}

impl Attempt {
    fn of(
        task: &Task,
        error: &SendError,
        took: Duration,
        outcome: &Outcome,
        now: SystemTime,
        worker: &str,
        day: Date,
    ) -> Self {
        let reply = match error {
            SendError::Refused { reply, .. } => Some(reply),
            _ => None,
        };
        let enhanced = reply.and_then(|reply| reply.enhanced);
        Self {
            day,
            id: task.identity.id().as_uuid(),
            at: moment(now).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            number: count(task.attempt.next().into()),
            state: outcome.label(),
            stage: error.stage().map(|stage| stage.slug()),
            code: reply.and_then(|reply| i16::try_from(reply.code).ok()),
            enhanced: enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}")),
            text: cut(&error.to_string()),
            took,
            worker: worker.to_owned(),
        }
    }
}

/// Whether a run tells what becomes of its mail. One that was sent is told by the statement that marks it.
pub(crate) fn tells(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Sent(_) | Outcome::Duplicate | Outcome::SetApart(_) | Outcome::Suspected | Outcome::Returned => false,
        Outcome::Deferred { cause, .. } => !matches!(cause, Deferral::ClaimedElsewhere | Deferral::HeldTooLong),
        Outcome::Dead(_) | Outcome::Expired | Outcome::Suppressed => true,
    }
}

/// When a mail was run first: all its rows are of that day.
fn first_run(task: &Task, outcome: Option<&Outcome>, now: SystemTime) -> SystemTime {
    match outcome {
        Some(Outcome::Deferred {
            cause:
                Deferral::Failed { first_failed }
                | Deferral::Unanswered { first_failed }
                | Deferral::UnknownType { first_failed },
            ..
        }) => *first_failed,
        _ => task.first_failed.unwrap_or(now),
    }
}

/// Attempts so far, this run's included where it was one.
pub(crate) fn attempts_after(task: &Task, outcome: &Outcome) -> u32 {
    let one_more = match outcome {
        Outcome::Deferred { .. } => tells(outcome),
        Outcome::Dead(letter) => letter.reason.ended_an_attempt(),
        _ => false,
    };
    if one_more { task.attempt.next().into() } else { task.attempt.into() }
}

#[cfg(test)]
mod tests {
    use contract::{Attempt, MailTask, TaskId};

    use super::super::dead_letter::DeadLetter;
    use super::super::task::{Identity, Message};
    use super::*;
    use crate::controls::Apart;
    use crate::send::classify::DeadReason;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// One that failed twice before.
    fn task(first_failed: Option<SystemTime>) -> Task {
        let body = br#"{"email":"ada@example.com","username":"ada"}"#;
        Task {
            identity: Identity::Keyed(TaskId::new()),
            mail: MailTask::read(None, None, body).expect("a task"),
            attempt: Attempt::from(2),
            unknown_outcomes: 0,
            first_failed,
            created: None,
            expires: None,
            deliveries: 0,
            suspect: false,
            redriven: false,
            apart: None,
            address: None,
            redelivered: false,
            hold_until: Instant::now(),
            message: Message { body: body.to_vec(), properties: amqp::Properties::default() },
        }
    }

    #[test]
    fn what_a_run_came_to_is_told_with_its_attempts_and_what_follows() {
        let deferred = |cause| Outcome::Deferred { delay: Duration::from_secs(30), cause };
        let dead = |reason| Outcome::Dead(DeadLetter::new(reason, "550 no"));
        let apart = Apart::new(None, Some("slow.example".to_owned())).expect("a domain");
        let (first_failed, now) = (at(60), at(100));
        let day = moment(now).expect("a day").date();
        // The outcome, attempts, whether it waits until a moment, why it died, and whether the run tells of it.
        for (outcome, attempts, waits, reason, told) in [
            (Outcome::Duplicate, 2, false, None, false),
            (Outcome::Expired, 2, false, None, true),
            (Outcome::Suppressed, 2, false, None, true),
            (deferred(Deferral::Failed { first_failed }), 3, true, None, true),
            (deferred(Deferral::Unanswered { first_failed }), 3, true, None, true),
            (deferred(Deferral::UnknownType { first_failed }), 3, true, None, true),
            (deferred(Deferral::ClaimedElsewhere), 2, true, None, false),
            (deferred(Deferral::HeldTooLong), 2, true, None, false),
            (Outcome::SetApart(apart), 2, false, None, false),
            (Outcome::Suspected, 2, false, None, false),
            (dead(DeadReason::GaveUp), 3, false, Some("gave-up"), true),
            (dead(DeadReason::TooOld), 2, false, Some("too-old-to-deduplicate"), true),
            (Outcome::Returned, 2, false, None, false),
        ] {
            let entry = Entry::of(&task(None), &outcome, now, day);
            assert_eq!((entry.state, entry.attempts, entry.reason), (outcome.label(), attempts, reason), "{outcome:?}");
            assert_eq!(entry.due, moment(at(130)).filter(|_| waits), "{outcome:?}");
            assert_eq!(entry.detail.as_deref(), reason.map(|_| "550 no"), "{outcome:?}");
            assert_eq!(tells(&outcome), told, "{outcome:?}");
        }
        let sent = Entry::sent(&task(None), now, day);
        assert_eq!((sent.state, sent.attempts, sent.domain.as_str()), ("sent", 3, "example.com"));
        assert_eq!(count(u32::MAX), i32::MAX);
    }

    #[test]
    fn all_rows_of_a_mail_are_of_the_day_of_its_first_run() {
        let failed = |cause| Outcome::Deferred { delay: Duration::ZERO, cause };
        let first_failed = at(60);
        for (before, outcome, expected) in [
            (None, None, at(100)),
            (Some(at(50)), None, at(50)),
            (Some(at(50)), Some(Outcome::Returned), at(50)),
            (None, Some(failed(Deferral::Failed { first_failed })), at(60)),
            (None, Some(failed(Deferral::Unanswered { first_failed })), at(60)),
            (None, Some(failed(Deferral::UnknownType { first_failed })), at(60)),
            (None, Some(failed(Deferral::HeldTooLong)), at(100)),
        ] {
            assert_eq!(first_run(&task(before), outcome.as_ref(), at(100)), expected, "{before:?}, {outcome:?}");
        }
    }
}
