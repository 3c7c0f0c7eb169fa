//! The part of a run that talks to the mail server.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, SystemTime};

use mail::Rendered;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Processor;
use super::outcome::{Deferral, Outcome};
use super::speed::{Sent, Speed, Trials, Weighed};
use crate::circuit_breaker::{Cause, Permit, State};
use crate::delivery::dead_letter::DeadLetter;
use crate::delivery::task::Task;
use crate::ledger::{Claim, LedgerDown, Record};
use crate::rate::{NoLeave, Prepare, SendPermit};
use crate::send::classify::{self, Classification, DeadReason, Outage};
use crate::smtp::pool::{NoSession, PooledConnection};
use crate::smtp::{Accepted, Broken, SendError, Stage};
use crate::spans;

/// One try: the run is over, or nothing was spent and it is tried again after this time, when the circuit lets it.
type Try = ControlFlow<Outcome, Duration>;

/// Once more.
const AGAIN: Try = Continue(Duration::ZERO);

/// A turn at the mail server: everything that is needed to say `MAIL`.
struct Turn {
    slot: PooledConnection,
    permit: Permit,
    leave: SendPermit,
    claimed_until: Instant,
}

/// Why a mail can't go now.
enum Unready {
    /// The run is over.
    Over(Outcome),
    /// It is of no use, or nobody wants it.
    NotNow,
    /// No session: the server is ill.
    ServerIll(SendError),
    /// No session: those that stand are taken, and the server takes no more.
    NoConnection,
    /// No claim.
    LedgerDown(LedgerDown),
}

impl From<NoSession> for Unready {
    fn from(none: NoSession) -> Self {
        match none {
            NoSession::OthersStand => Self::NoConnection,
            NoSession::Ill(error) => Self::ServerIll(error),
        }
    }
}

/// From one mail to the next, where there is time to open a connection in between.
const SLOW: Duration = Duration::from_secs(1);

/// A mail that waits for its moment.
struct Start<'a> {
    processor: &'a Processor,
    task: &'a Task,
    permit: Permit,
    slot: PooledConnection,
    claimed_until: &'a mut Instant,
}

impl Start<'_> {
    /// Is there a point in waiting, and a connection to wait with? A slow fleet opens it when its moment comes: servers do not
    /// like connections that stand idle.
    async fn begin(&mut self) -> Result<(), Unready> {
        self.look_at_the_circuit()?;
        let rate = *self.processor.rate.in_force().borrow();
        if rate.is_some_and(|rate| rate.spacing() >= SLOW) {
            return Ok(());
        }
        self.slot.session().await?;
        Ok(())
    }

    /// It may have opened while this mail waited, or an operator may have paused the fleet.
    fn look_at_the_circuit(&self) -> Result<(), Unready> {
        let open = self.permit.probing().is_none() && self.processor.breaker.state() != State::Closed;
        if open || self.processor.is_held(self.task) { Err(Unready::NotNow) } else { Ok(()) }
    }

    /// Makes the claim last as long as a send may take.
    async fn renew(&mut self) -> Result<(), Unready> {
        if *self.claimed_until >= Instant::now() + self.processor.limits.send_timeout + super::LEAD {
            return Ok(());
        }
        match self.processor.ledger.renew(self.task.identity.id()).await {
            Ok(Claim::Ours { until }) => {
                *self.claimed_until = until;
                Ok(())
            }
            Ok(claim) => Err(Unready::Over(self.processor.not_claimed(self.task, claim))),
            Err(down) => Err(Unready::LedgerDown(down)),
        }
    }
}

impl Prepare for Start<'_> {
    type Unready = Unready;

    /// However long it waited: the circuit, the connection and the claim are looked at now, and not before, so that no wait
    /// wears them out.
    async fn prepare(&mut self) -> Result<(), Unready> {
        if self.processor.is_expired(self.task) {
            return Err(Unready::Over(self.processor.expired(self.task)));
        }
        self.look_at_the_circuit()?;
        self.slot.live_session().await?;
        self.renew().await
    }
}

impl Processor {
    /// Sends a claimed task's mail. Tries again for as long as the failure is not the mail's own; gives up its turn when
    /// the worker drains before `MAIL`, or when the task has waited for as long as it may.
    pub(super) async fn send(&self, task: &Task, mut claimed_until: Instant, said: &mut Option<SendError>) -> Outcome {
        let rendered = match self.write(task).await {
            Ok(rendered) => rendered,
            Err(outcome) => return outcome,
        };
        let mut trials = Trials::default();
        loop {
            let turn = match self.patiently(task, self.turn(task, &mut claimed_until)).await {
                Err(outcome) | Ok(Err(outcome)) => return outcome,
                Ok(Ok(None)) => continue,
                Ok(Ok(Some(turn))) => turn,
            };
            if self.is_expired(task) {
                return self.expired(task);
            }
            // From here on nothing is cancelled: the mail server may have the mail.
            match self.converse(task, &rendered, turn, &mut trials, said).await {
                Break(outcome) => return outcome,
                Continue(wait) => {
                    if let Err(outcome) = self.patiently(task, tokio::time::sleep(wait)).await {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Waits for everything that a mail needs before `MAIL`: the circuit, a slot with a connection, and the fleet's rate, in
    /// this order, since a moment of the rate does not keep. `None`: start over.
    async fn turn(&self, task: &Task, claimed_until: &mut Instant) -> Result<Option<Turn>, Outcome> {
        self.admitted(task).await?;
        let permit = self.breaker.permit(task.mail.email.ascii_domain()).await;
        let slot = self.slots.acquire().await;
        let mut start = Start { processor: self, task, permit, slot, claimed_until };
        let leave = match start.begin().await {
            Ok(()) => self.rate.leave(&mut start).await,
            Err(unready) => Err(NoLeave::NotReady(unready)),
        };
        let Start { permit, slot, claimed_until, .. } = start;
        match leave {
            Ok(leave) => Ok(Some(Turn { slot, permit, leave, claimed_until: *claimed_until })),
            Err(NoLeave::NotReady(Unready::Over(outcome))) => Err(outcome),
            Err(NoLeave::NotReady(Unready::NotNow | Unready::NoConnection)) => Ok(None),
            Err(NoLeave::NotReady(Unready::ServerIll(error))) => {
                self.server_is_ill(&error, permit);
                Ok(None)
            }
            Err(NoLeave::Down(down) | NoLeave::NotReady(Unready::LedgerDown(down))) => {
                self.ledger_is_down(&down);
                permit.ill(Cause::LedgerDown, &down);
                Ok(None)
            }
        }
    }

    /// One conversation about one mail, and what it means.
    async fn converse(
        &self,
        task: &Task,
        rendered: &Rendered,
        turn: Turn,
        trials: &mut Trials,
        said: &mut Option<SendError>,
    ) -> Try {
        let Turn { mut slot, permit, leave, claimed_until } = turn;
        let (host, port) = self.slots.server().unwrap_or(("file", 0));
        let span = spans::smtp(host, port);
        let began = Instant::now();
        let mut result = self.talk(task, &mut slot, rendered, &permit).instrument(span.clone()).await;
        if matches!(&result, Err(error) if hung_up_on_us(error)) {
            // The mail was not spoken of: another connection, for the same moment.
            match slot.reopen().await {
                // A slow greeting wore the claim out.
                Ok(()) if claimed_until < Instant::now() + self.limits.send_timeout => return AGAIN,
                Ok(()) => result = self.talk(task, &mut slot, rendered, &permit).instrument(span.clone()).await,
                Err(NoSession::OthersStand) => return AGAIN,
                Err(NoSession::Ill(error)) => result = Err(error),
            }
        }
        if matches!(&result, Err(SendError::Broken { cause: Broken::CutOff, .. })) {
            // Before the dot: the server has no mail.
            return Break(Outcome::Returned);
        }
        self.metrics.sent(result.is_ok(), began.elapsed());
        spans::record_reply(&span, &result);
        drop(span);
        match result {
            Ok(accepted) => {
                leave.accepted();
                self.speed().taken(task.mail.email.ascii_domain(), u32::from(task.attempt) == 0, trials);
                self.tell_of_the_address(task, began);
                self.accepted(task, &accepted, slot, permit).await
            }
            Err(error) => {
                let turn = Turn { slot, permit, leave, claimed_until };
                let tried = self.refused(task, &error, began, turn, trials).await;
                *said = Some(error);
                tried
            }
        }
    }

    /// The mail is the server's now. The slot is kept until the mark has its place: this bounds what a crash repeats.
    async fn accepted(&self, task: &Task, accepted: &Accepted, mut slot: PooledConnection, permit: Permit) -> Try {
        slot.accepted();
        self.refusers.taken(task.mail.email.ascii_domain());
        let (mark, now) = (Some(task.identity.id()), self.clock.now());
        let (entry, event) = (self.mail_log.sent(task, now), self.events.sent(task, accepted, now));
        let marking = self.ledger.begin_record(Record { mark, entry, event }).await;
        drop(slot);
        permit.accepted();
        let delay = task.created.and_then(|created| self.clock.now().duration_since(created).ok());
        if let Some(delay) = delay {
            self.metrics.accepted_after(delay);
        }
        // The rule, not the news: at thousands a second a line each would cost as much as the mail. Metrics and traces tell.
        let attempts = u32::from(task.attempt.next());
        tracing::debug!(task = %task.identity.id(), attempts, reply = accepted.reply, "mail sent");
        Break(match marking {
            Ok(marking) => Outcome::Sent(marking),
            // The ledger stopped with the worker: unmarked, unacknowledged, repeated elsewhere.
            Err(_) => Outcome::Returned,
        })
    }

    /// There is somebody of this address, and others are believed to be nobody.
    fn tell_of_the_address(&self, task: &Task, began: Instant) {
        self.suppressions.taken(task.mail.email.ascii_domain(), task.address.as_ref(), began);
        if task.redriven {
            self.suppressions.lifted(task.address.as_ref());
        }
    }

    async fn refused(&self, task: &Task, error: &SendError, began: Instant, turn: Turn, trials: &mut Trials) -> Try {
        let Turn { mut slot, permit, leave, .. } = turn;
        let id = task.identity.id();
        let class = match permit.probing() {
            Some(Cause::MailServer(Outage::EveryoneRefused)) => Classification::of(error).while_everyone_is_refused(),
            _ => Classification::of(error),
        };
        let class = if slot.may_be_one_too_many() { class.where_one_may_be_too_many(error) } else { class };
        self.metrics.refused(classify::reason(error), error.stage());
        let sent = Sent { domain: task.mail.email.ascii_domain(), began, episode: leave.episode() };
        let (class, perhaps) = match self.speed().weigh(class, error, sent, trials) {
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
        let outcome = match class {
            Classification::CircuitOpen(outage) => {
                self.ill(permit, outage, error);
                return AGAIN;
            }
            Classification::TooFast => {
                permit.put_off();
                return AGAIN;
            }
            // No session at all, or one too many.
            Classification::TooManyConnections => {
                let explicit = Classification::of(error) == Classification::TooManyConnections;
                if error.stage() != Some(Stage::Connect) && slot.turned_away(explicit).await {
                    permit.put_off();
                } else {
                    self.ill(permit, Outage::TooManyConnections, error);
                }
                return AGAIN;
            }
            Classification::OutcomeUnknown => self.unanswered(task, error, slot, permit).await,
            Classification::Reconnect => match slot.reopen().await {
                Err(NoSession::OthersStand) if trials.once_more() => return AGAIN,
                Ok(()) | Err(NoSession::OthersStand) => {
                    permit.refused(id, error);
                    self.after_failure(task, error)
                }
                Err(NoSession::Ill(ill)) => {
                    self.server_is_ill(&ill, permit);
                    return AGAIN;
                }
            },
            Classification::Retry(_) => {
                permit.refused(id, error);
                self.after_failure(task, error)
            }
            Classification::Dead(reason) => {
                if self.breaker.state() == State::Closed {
                    self.suppressions.refused(task.mail.email.ascii_domain(), task.address.as_ref(), error);
                }
                // A mail that no server was asked about says nothing about this one.
                if !matches!(error, SendError::Unsendable(_)) {
                    permit.refused(id, error);
                }
                dead(error, reason)
            }
        };
        // One whose outcome nobody can know has a line of its own.
        if !matches!(error, SendError::Unanswered { .. }) {
            self.tell(task, error, &outcome);
        }
        self.mail_log.failed(task, error, began, &outcome, self.clock.now());
        Break(outcome)
    }

    fn speed(&self) -> Speed<'_> {
        Speed { rate: &self.rate, doubts: &self.doubts }
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
    pub(super) fn server_is_ill(&self, error: &SendError, permit: Permit) {
        self.ill(permit, Classification::of(error).outage(), error);
    }

    fn ill(&self, permit: Permit, outage: Outage, error: &SendError) {
        if self.breaker.state() == State::Closed {
            tracing::warn!(cause = outage.slug(), %error, "the circuit opens: nothing is sent while this lasts");
        }
        permit.ill(Cause::MailServer(outage), error);
    }

    pub(super) fn ledger_is_down(&self, down: &LedgerDown) {
        if self.breaker.state() == State::Closed {
            tracing::warn!(error = %down, "the ledger is down: the circuit opens");
        }
        self.breaker.fail(Cause::LedgerDown, down);
    }
}

/// It closed an idle connection; not for the number of them, which is to be learnt.
fn hung_up_on_us(error: &SendError) -> bool {
    error.session_was_stale() && Classification::of(error) != Classification::TooManyConnections
}

fn dead(error: &SendError, reason: DeadReason) -> Outcome {
    Outcome::Dead(DeadLetter::new(reason, error))
}
