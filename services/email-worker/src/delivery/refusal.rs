//! The part of a run that follows a mail which was not accepted: whose fault it was, and what becomes of the mail.

use std::ops::ControlFlow::{Break, Continue};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Processor;
use super::attempt::{AGAIN, Try, Turn};
use super::outcome::{Deferral, Outcome};
use super::speed::{Sent, Trials, Weighed};
use crate::circuit_breaker::{Cause, Permit, State};
use crate::delivery::dead_letter::DeadLetter;
use crate::delivery::task::Task;
use crate::ledger::LedgerDown;
use crate::send::classify::{self, Classification, DeadReason, Outage};
use crate::smtp::pool::{NoSession, PooledConnection};
use crate::smtp::{SendError, Stage};

impl Processor {
    pub(super) async fn refused(
        &self,
        task: &Task,
        error: &SendError,
        began: Instant,
        turn: Turn,
        trials: &mut Trials,
    ) -> Try {
        self.metrics.refused(classify::reason(error), error.stage());
        let weighed = self.weigh(task, error, began, &turn, trials);
        let Turn { connection, permit, leave, .. } = turn;
        let (class, perhaps) = match weighed {
            Weighed::Known(class) => (class, None),
            Weighed::Perhaps(class, domain) => (class, Some(domain)),
            Weighed::AgainIn(wait) => {
                leave.answered();
                permit.put_off();
                return Continue(wait);
            }
        };
        match (&class, error) {
            (Classification::TooFast | Classification::CircuitOpen(Outage::Throttled), _) => {
                leave.too_fast(&error.to_string(), perhaps);
            }
            (_, SendError::Refused { .. }) => leave.answered(),
            // It did not answer: whether it would take mails again is not known.
            _ => drop(leave),
        }
        let Some(outcome) = self.outcome_of(class, task, error, connection, permit, trials).await else {
            return AGAIN;
        };
        // One whose outcome nobody can know has a line of its own.
        if !matches!(error, SendError::Unanswered { .. }) {
            self.tell(task, error, &outcome);
        }
        self.mail_log.failed(task, error, began, &outcome, self.clock.now());
        Break(outcome)
    }

    /// What the failure means, in the light of the circuit, of the number of connections, and of the speed.
    fn weigh<'t>(
        &self,
        task: &'t Task,
        error: &SendError,
        began: Instant,
        turn: &Turn,
        trials: &mut Trials,
    ) -> Weighed<'t> {
        let class = match turn.permit.probing() {
            Some(Cause::MailServer(Outage::EveryoneRefused)) => Classification::of(error).while_everyone_is_refused(),
            _ => Classification::of(error),
        };
        let class = if turn.connection.may_be_one_too_many() { class.where_one_may_be_too_many(error) } else { class };
        let sent = Sent { domain: task.mail.email.ascii_domain(), began, episode: turn.leave.episode() };
        self.speed().weigh(class, error, sent, trials)
    }

    /// What becomes of a mail that was not accepted. `None`: it has spent nothing, and starts over.
    async fn outcome_of(
        &self,
        class: Classification,
        task: &Task,
        error: &SendError,
        mut connection: PooledConnection,
        permit: Permit,
        trials: &mut Trials,
    ) -> Option<Outcome> {
        let id = task.identity.id();
        match class {
            Classification::CircuitOpen(outage) => {
                self.open_circuit(permit, outage, error);
                None
            }
            Classification::TooFast => {
                permit.put_off();
                None
            }
            // No session at all, or one too many.
            Classification::TooManyConnections => {
                let explicit = Classification::of(error) == Classification::TooManyConnections;
                if error.stage() != Some(Stage::Connect) && connection.turned_away(explicit).await {
                    permit.put_off();
                } else {
                    self.open_circuit(permit, Outage::TooManyConnections, error);
                }
                None
            }
            Classification::OutcomeUnknown => Some(self.unanswered(task, error, connection, permit).await),
            Classification::Reconnect => match connection.reopen().await {
                Err(NoSession::OthersStand) if trials.once_more() => None,
                Ok(()) | Err(NoSession::OthersStand) => {
                    permit.refused(id, error);
                    Some(self.after_failure(task, error))
                }
                Err(NoSession::Failed(failure)) => {
                    self.session_failed(&failure, permit);
                    None
                }
            },
            Classification::Retry(_) => {
                permit.refused(id, error);
                Some(self.after_failure(task, error))
            }
            Classification::Dead(reason) => {
                if self.breaker.state() == State::Closed {
                    self.suppressions.refused(task.mail.email.ascii_domain(), task.address.as_ref(), error);
                }
                // A mail that no server was asked about says nothing about this one.
                if !matches!(error, SendError::Unsendable(_)) {
                    permit.refused(id, error);
                }
                Some(dead(error, reason))
            }
        }
    }

    /// A line for the mail, unless its domain refuses most of ours or too many others have one.
    fn tell(&self, task: &Task, error: &SendError, outcome: &Outcome) {
        let (id, attempts, next) = (task.identity.id(), u32::from(task.attempt.next()), outcome.next());
        let for_good = matches!(outcome, Outcome::Dead(_)) && matches!(error, SendError::Refused { .. });
        if self.refusers.refused(id, task.mail.email.ascii_domain(), error, for_good) {
            tracing::info!(task = %id, attempts, %error, next, "mail not accepted");
        } else {
            tracing::debug!(task = %id, attempts, %error, next, "mail not accepted");
        }
    }

    fn after_failure(&self, task: &Task, error: &SendError) -> Outcome {
        match self.next_delay(task) {
            Some((delay, first_failed)) => Outcome::Deferred { delay, cause: Deferral::Failed { first_failed } },
            None => dead(error, DeadReason::GaveUp),
        }
    }

    /// Where a mail that failed for now waits, and when it failed first; `None`: its time is up.
    pub(super) fn next_delay(&self, task: &Task) -> Option<(Duration, SystemTime)> {
        let now = self.clock.now();
        let first_failed = task.first_failed.unwrap_or(now);
        let delay = self.limits.retry_schedule.after(task.attempt, first_failed, now, self.limits.give_up_after)?;
        Some((delay, first_failed))
    }

    /// A session could not be opened.
    pub(super) fn session_failed(&self, error: &SendError, permit: Permit) {
        self.open_circuit(permit, Classification::of(error).outage(), error);
    }

    fn open_circuit(&self, permit: Permit, outage: Outage, error: &SendError) {
        if self.breaker.state() == State::Closed {
            tracing::warn!(cause = outage.slug(), %error, "the circuit opens: nothing is sent while this lasts");
        }
        permit.outage(Cause::MailServer(outage), error);
    }

    pub(super) fn ledger_is_down(&self, down: &LedgerDown) {
        if self.breaker.state() == State::Closed {
            tracing::warn!(error = %down, "the ledger is down: the circuit opens");
        }
        self.breaker.fail(Cause::LedgerDown, down);
    }
}

fn dead(error: &SendError, reason: DeadReason) -> Outcome {
    Outcome::Dead(DeadLetter::new(reason, error))
}
