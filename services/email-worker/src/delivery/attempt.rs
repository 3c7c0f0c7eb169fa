//! The part of a run that talks to the mail server.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use mail::Rendered;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Processor;
use super::outcome::Outcome;
use super::speed::{Speed, Trials};
use crate::circuit_breaker::{Cause, Permit, State};
use crate::delivery::task::Task;
use crate::ledger::{Claim, LedgerDown, Record};
use crate::rate::{NoLeave, Prepare, SendPermit};
use crate::send::classify::Classification;
use crate::smtp::pool::{NoSession, PooledConnection};
use crate::smtp::{Accepted, Broken, SendError};
use crate::spans;

/// One try: the run is over, or nothing was spent and it is tried again after this time, when the circuit lets it.
pub(super) type Try = ControlFlow<Outcome, Duration>;

/// Once more.
pub(super) const AGAIN: Try = Continue(Duration::ZERO);

/// A turn at the mail server: everything that is needed to say `MAIL`.
pub(super) struct Turn {
    pub(super) connection: PooledConnection,
    pub(super) permit: Permit,
    pub(super) leave: SendPermit,
    claimed_until: Instant,
}

/// Why a mail can't go now.
enum Unready {
    /// The run is over.
    Over(Outcome),
    /// It is of no use, or nobody wants it.
    NotNow,
    /// No session: the server has an outage.
    NoSession(SendError),
    /// No session: those that stand are taken, and the server takes no more.
    NoConnection,
    /// No claim.
    LedgerDown(LedgerDown),
}

impl From<NoSession> for Unready {
    fn from(none: NoSession) -> Self {
        match none {
            NoSession::OthersStand => Self::NoConnection,
            NoSession::Failed(error) => Self::NoSession(error),
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
    connection: PooledConnection,
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
        self.connection.session().await?;
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
        self.connection.live_session().await?;
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
            match self.send_once(task, &rendered, turn, &mut trials, said).await {
                Break(outcome) => return outcome,
                Continue(wait) => {
                    if let Err(outcome) = self.patiently(task, tokio::time::sleep(wait)).await {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Waits for everything that a mail needs before `MAIL`: the circuit, a connection, and the fleet's rate, in
    /// this order, since a moment of the rate does not keep. `None`: start over.
    async fn turn(&self, task: &Task, claimed_until: &mut Instant) -> Result<Option<Turn>, Outcome> {
        self.admitted(task).await?;
        let permit = self.breaker.permit(task.mail.email.ascii_domain()).await;
        let connection = self.pool.acquire().await;
        let mut start = Start { processor: self, task, permit, connection, claimed_until };
        let leave = match start.begin().await {
            Ok(()) => self.rate.leave(&mut start).await,
            Err(unready) => Err(NoLeave::NotReady(unready)),
        };
        let Start { permit, connection, claimed_until, .. } = start;
        match leave {
            Ok(leave) => Ok(Some(Turn { connection, permit, leave, claimed_until: *claimed_until })),
            Err(NoLeave::NotReady(Unready::Over(outcome))) => Err(outcome),
            Err(NoLeave::NotReady(Unready::NotNow | Unready::NoConnection)) => Ok(None),
            Err(NoLeave::NotReady(Unready::NoSession(error))) => {
                self.session_failed(&error, permit);
                Ok(None)
            }
            Err(NoLeave::Down(down) | NoLeave::NotReady(Unready::LedgerDown(down))) => {
                self.ledger_is_down(&down);
                permit.outage(Cause::LedgerDown, &down);
                Ok(None)
            }
        }
    }

    /// One conversation about one mail, and what it means.
    async fn send_once(
        &self,
        task: &Task,
        rendered: &Rendered,
        turn: Turn,
        trials: &mut Trials,
        said: &mut Option<SendError>,
    ) -> Try {
        let Turn { mut connection, permit, leave, claimed_until } = turn;
        let (host, port) = self.pool.server().unwrap_or(("file", 0));
        let span = spans::smtp(host, port);
        let began = Instant::now();
        let mut result = self.transact(task, &mut connection, rendered, &permit).instrument(span.clone()).await;
        if matches!(&result, Err(error) if hung_up_on_us(error)) {
            // The mail was not spoken of: another connection, for the same moment.
            match connection.reopen().await {
                // A slow greeting wore the claim out.
                Ok(()) if claimed_until < Instant::now() + self.limits.send_timeout => return AGAIN,
                Ok(()) => {
                    result = self.transact(task, &mut connection, rendered, &permit).instrument(span.clone()).await;
                }
                Err(NoSession::OthersStand) => return AGAIN,
                Err(NoSession::Failed(error)) => result = Err(error),
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
                self.accepted(task, &accepted, connection, permit).await
            }
            Err(error) => {
                let turn = Turn { connection, permit, leave, claimed_until };
                let tried = self.refused(task, &error, began, turn, trials).await;
                *said = Some(error);
                tried
            }
        }
    }

    /// The mail is the server's now. The connection is kept until the mark has its place: this bounds what a crash repeats.
    async fn accepted(
        &self,
        task: &Task,
        accepted: &Accepted,
        mut connection: PooledConnection,
        permit: Permit,
    ) -> Try {
        connection.accepted();
        self.refusers.taken(task.mail.email.ascii_domain());
        let (mark, now) = (Some(task.identity.id()), self.clock.now());
        let (entry, event) = (self.mail_log.sent(task, now), self.events.sent(task, accepted, now));
        let marking = self.ledger.begin_record(Record { mark, entry, event }).await;
        drop(connection);
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

    pub(super) fn speed(&self) -> Speed<'_> {
        Speed { rate: &self.rate, doubts: &self.doubts }
    }
}

/// It closed an idle connection; not for the number of them, which is to be learnt.
fn hung_up_on_us(error: &SendError) -> bool {
    error.session_was_stale() && Classification::of(error) != Classification::TooManyConnections
}
