//! The part of a flight that talks to the mail server.

use std::time::SystemTime;

use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Ending, Flights};
use crate::circuit::{Cause, Pass, State};
use crate::disposition::{self, DeadReason, Illness, Step, Verdict};
use crate::email::{Accepted, Rendered, SendError};
use crate::ledger::{Claim, LedgerDown};
use crate::moves::DeadLetter;
use crate::rate::{NoLeave, Prepare, Slot as Leave};
use crate::slots::Slot;
use crate::spans;
use crate::task::Task;

/// What one try came to.
enum Try {
    /// The flight is over.
    Over(Ending),
    /// Nothing was spent: once more, when the circuit lets it.
    Again,
}

/// A turn at the mail server: everything that is needed to say `MAIL`.
struct Turn {
    slot: Slot,
    pass: Pass,
    leave: Leave,
}

/// Why a mail can't go now.
enum Unready {
    /// The flight is over.
    Over(Ending),
    /// It is of no use.
    CircuitOpen,
    /// No session.
    ServerIll(SendError),
    /// No claim.
    LedgerDown(LedgerDown),
}

/// A mail that waits for its moment.
struct Start<'a> {
    flights: &'a Flights,
    task: &'a Task,
    pass: Pass,
    slot: Slot,
    claimed_until: &'a mut Instant,
}

impl Start<'_> {
    /// Is there a point in waiting, and a connection to wait with?
    async fn connect(&mut self) -> Result<(), Unready> {
        // It may have opened while this mail waited.
        if self.pass.probing().is_none() && self.flights.circuit.state() != State::Closed {
            return Err(Unready::CircuitOpen);
        }
        self.slot.session().await.map(|_| ()).map_err(Unready::ServerIll)
    }

    /// Makes the claim last as long as a send may take.
    async fn renew(&mut self) -> Result<(), Unready> {
        if *self.claimed_until >= Instant::now() + self.flights.send_timeout + super::LEAD {
            return Ok(());
        }
        match self.flights.ledger.renew(self.task.identity.id()).await {
            Ok(Claim::Ours { until }) => {
                *self.claimed_until = until;
                Ok(())
            }
            Ok(Claim::Sent) => Err(Unready::Over(Ending::Duplicate)),
            Ok(Claim::Elsewhere) => Err(Unready::Over(Ending::Wait)),
            Err(down) => Err(Unready::LedgerDown(down)),
        }
    }
}

impl Prepare for Start<'_> {
    type Unready = Unready;

    /// However long it waited: the circuit, the connection and the claim are looked at now, and not before, so that no wait
    /// wears them out.
    async fn prepare(&mut self) -> Result<(), Unready> {
        self.connect().await?;
        self.renew().await
    }
}

impl Flights {
    /// Sends a claimed task's mail. Tries again for as long as the failure is not the mail's own; gives up its turn when
    /// the worker drains before `MAIL`.
    pub(super) async fn send(&self, task: &Task, mut claimed_until: Instant) -> Ending {
        let rendered = match self.renderer.render(&task.mail, task.identity.id(), OffsetDateTime::now_utc()) {
            Ok(rendered) => rendered,
            Err(unsendable) => return dead(&SendError::from(unsendable), DeadReason::Unrenderable),
        };
        loop {
            let turn = self.turn(task, &mut claimed_until);
            let turn = match self.drain.run_until_cancelled(turn).await {
                None => return Ending::HandBack,
                Some(Err(ending)) => return ending,
                Some(Ok(None)) => continue,
                Some(Ok(Some(turn))) => turn,
            };
            // From here on nothing is cancelled: the mail server may have the mail.
            match self.converse(task, &rendered, turn).await {
                Try::Over(ending) => return ending,
                Try::Again => {}
            }
        }
    }

    /// Waits for everything that a mail needs before `MAIL`: the circuit, a slot with a connection, and the fleet's rate, in
    /// this order, since a moment of the rate does not keep. `None`: start over.
    async fn turn(&self, task: &Task, claimed_until: &mut Instant) -> Result<Option<Turn>, Ending> {
        let Ok(pass) = tokio::time::timeout(super::HOLD, self.circuit.pass()).await else {
            return Err(Ending::HeldTooLong);
        };
        let slot = self.slots.acquire().await;
        let mut start = Start { flights: self, task, pass, slot, claimed_until };
        // Opened now, since a fast fleet has no time for it between two moments.
        let leave = match start.connect().await {
            Ok(()) => self.rate.leave(&mut start).await,
            Err(unready) => Err(NoLeave::NotReady(unready)),
        };
        let Start { pass, slot, .. } = start;
        match leave {
            Ok(leave) => Ok(Some(Turn { slot, pass, leave })),
            Err(NoLeave::NotReady(Unready::Over(ending))) => Err(ending),
            Err(NoLeave::NotReady(Unready::CircuitOpen)) => Ok(None),
            Err(NoLeave::NotReady(Unready::ServerIll(error))) => {
                self.server_is_ill(&error, pass);
                Ok(None)
            }
            Err(NoLeave::Down(down) | NoLeave::NotReady(Unready::LedgerDown(down))) => {
                self.ledger_is_down(&down);
                pass.ill(Cause::LedgerDown);
                Ok(None)
            }
        }
    }

    /// One conversation about one mail, and what it means.
    async fn converse(&self, task: &Task, rendered: &Rendered, turn: Turn) -> Try {
        let Turn { mut slot, pass, leave } = turn;
        let (host, port) = self.slots.server().unwrap_or(("file", 0));
        let span = spans::smtp(host, port);
        let began = Instant::now();
        let result = match slot.session().await {
            Ok(session) => session.send(rendered).instrument(span.clone()).await,
            Err(error) => Err(error),
        };
        if matches!(&result, Err(error) if error.session_was_stale()) {
            // It had hung up on an idle connection; the mail was not spoken of.
            return Try::Again;
        }
        self.metrics.sent(result.is_ok(), began.elapsed());
        spans::record_reply(&span, &result);
        drop(span);
        match result {
            Ok(accepted) => {
                leave.accepted();
                self.accepted(task, &accepted, slot, pass).await
            }
            Err(error) => {
                leave.answered();
                self.refused(task, &error, slot, pass).await
            }
        }
    }

    /// The mail is the server's now. The slot is kept until the mark has its place: this bounds what a crash repeats.
    async fn accepted(&self, task: &Task, accepted: &Accepted, slot: Slot, pass: Pass) -> Try {
        let marking = self.ledger.begin_mark(task.identity.id()).await;
        drop(slot);
        pass.accepted(task.identity.id());
        let delay = task.created.and_then(|created| SystemTime::now().duration_since(created).ok());
        if let Some(delay) = delay {
            self.metrics.accepted_after(delay);
        }
        // The rule, not the news: at thousands a second a line each would cost as much as the mail. Metrics and traces tell.
        tracing::debug!(task = %task.identity.id(), attempt = u32::from(task.attempt), reply = accepted.reply, "mail sent");
        Try::Over(match marking {
            Ok(marking) => Ending::Sent(marking),
            // The ledger stopped with the worker: unmarked, unacknowledged, repeated elsewhere.
            Err(_) => Ending::HandBack,
        })
    }

    async fn refused(&self, task: &Task, error: &SendError, mut slot: Slot, pass: Pass) -> Try {
        let id = task.identity.id();
        let verdict = match pass.probing() {
            Some(Cause::MailServer(Illness::EveryoneRefused)) => disposition::judge(error).while_everyone_is_refused(),
            _ => disposition::judge(error),
        };
        self.metrics.refused(disposition::reason(error), error.stage());
        let ending = match verdict {
            Verdict::CircuitOpen(illness) => {
                self.ill(pass, illness, error);
                return Try::Again;
            }
            // Nothing is spent: whoever learns the server's limits takes it from here.
            Verdict::TooFast | Verdict::TooManyConnections => {
                self.ill(pass, Illness::ServerError, error);
                return Try::Again;
            }
            Verdict::Reconnect => {
                if let Err(ill) = slot.reopen().await {
                    self.server_is_ill(&ill, pass);
                    return Try::Again;
                }
                pass.broken_off(id);
                self.next_step(task, error)
            }
            Verdict::Retry(_) => {
                pass.refused(id);
                self.next_step(task, error)
            }
            Verdict::Dead(reason) => {
                // A mail that no server was asked about says nothing about this one.
                if !matches!(error, SendError::Unsendable(_)) {
                    pass.refused(id);
                }
                dead(error, reason)
            }
        };
        tracing::info!(task = %id, attempt = u32::from(task.attempt), %error, "mail not accepted");
        Try::Over(ending)
    }

    fn next_step(&self, task: &Task, error: &SendError) -> Ending {
        let now = SystemTime::now();
        let ladder = self.ladder.rungs();
        match disposition::next_step(task.attempt, task.first_failed, now, ladder, self.give_up_after) {
            Step::Rung(rung) => Ending::Failed { rung, first_failed: task.first_failed.unwrap_or(now) },
            Step::GiveUp => dead(error, DeadReason::GaveUp),
        }
    }

    /// A session could not be opened.
    fn server_is_ill(&self, error: &SendError, pass: Pass) {
        self.ill(pass, disposition::judge(error).illness(), error);
    }

    fn ill(&self, pass: Pass, illness: Illness, error: &SendError) {
        if self.circuit.state() == State::Closed {
            tracing::warn!(cause = illness.slug(), %error, "the mail server is ill: the circuit opens");
        }
        pass.ill(Cause::MailServer(illness));
    }

    pub(super) fn ledger_is_down(&self, down: &LedgerDown) {
        if self.circuit.state() == State::Closed {
            tracing::warn!(error = %down, "the ledger is down: the circuit opens");
        }
        self.circuit.fail(Cause::LedgerDown);
    }
}

fn dead(error: &SendError, reason: DeadReason) -> Ending {
    Ending::Dead(DeadLetter::new(reason, error))
}
