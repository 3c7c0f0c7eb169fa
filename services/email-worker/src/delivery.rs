//! A run: one task from its delivery to its settlement.
//!
//! The order is the guarantee. A task is claimed before it is sent, marked before it is acknowledged, and published
//! elsewhere with a confirm before its delivery is acknowledged. A run that is cut short at any point leaves the
//! delivery unacknowledged: the broker gives it to somebody else, and the ledger tells what was done. Every order of steps is
//! checked in `tests/models/src/delivery.rs`.

mod answer;
mod apart;
mod attempt;
mod dead_letter;
mod exclusive;
pub mod hold;
mod in_flight;
mod limits;
pub(crate) mod log;
pub mod outcome;
mod refusal;
pub mod republish;
mod settle;
pub(crate) mod speed;
pub mod task;
mod telling;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use amqp::{Delivery, Publisher, Receipt};
use mail::Renderer;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub use dead_letter::DeadLetter;
pub use exclusive::ExclusiveGate;
pub use in_flight::InFlight;
pub use limits::Limits;

use self::outcome::{Deferral, Outcome};
use self::task::{Rejected, Task};
use crate::circuit_breaker::CircuitBreaker;
use crate::clock::DatabaseClock;
use crate::controls::queues::QueuesApart;
use crate::controls::{Apart, ControlsWatch};
use crate::events::Events;
use crate::ledger::{Claim, Ledger, LedgerDown};
use crate::mail_log::MailLog;
use crate::metrics::Metrics;
use crate::rate::FleetRate;
use crate::send::classify::{DeadReason, Doubts};
use crate::send::refusers::Refusers;
use crate::smtp::SendError;
use crate::smtp::pool::ConnectionPool;
use crate::spans;
use crate::suppressions::Suppressions;
use in_flight::Entering;
pub(crate) use writing::UnknownTypes;

/// A mail is made ready at most so long before its moment, the tolerance of a moment included.
const LEAD: Duration = Duration::from_secs(1);

/// Crashes of a task that was running alone before it is put aside.
const LONE_RUNS: u16 = 3;

/// Everything a run needs; shared by all of them.
#[derive(Debug)]
pub struct Processor {
    /// What was sent, and who is sending what.
    pub(crate) ledger: Ledger,
    /// The fleet's rate.
    pub(crate) rate: FleetRate,
    /// What refusals without a reason were found to mean.
    pub(crate) doubts: Doubts,
    /// Who refuses most of our mails, for the log.
    pub(crate) refusers: Refusers,
    /// Which addresses get no mails.
    pub(crate) suppressions: Suppressions,
    /// What became of each mail.
    pub(crate) mail_log: MailLog,
    /// What others are told of mails.
    pub(crate) events: Events,
    /// What operators ask for.
    pub(crate) controls: ControlsWatch,
    /// Makes queues for the mails that are sent at a speed of their own.
    pub(crate) queues_apart: QueuesApart,
    /// Whether sending makes sense at all.
    pub(crate) breaker: CircuitBreaker,
    /// The connections to the mail server, at most one for each sending slot.
    pub(crate) pool: ConnectionPool,
    /// Writes the mails.
    pub(crate) renderer: Arc<Renderer>,
    /// Types of mails that it does not know.
    pub(crate) unknown_types: UnknownTypes,
    /// What time it is.
    pub(crate) clock: DatabaseClock,
    /// Publishes tasks again.
    pub(crate) publisher: Publisher,
    /// What is in flight here.
    pub(crate) in_flight: InFlight,
    /// Lets a suspect run alone.
    pub(crate) exclusive: ExclusiveGate,
    /// How long things may take, and how often.
    pub(crate) limits: Limits,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// How it ends.
    pub(crate) ends: Ends,
}

/// How a worker ends, step by step.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Cancelled when the worker drains: whatever has not reached `MAIL` is handed back.
    pub drain: CancellationToken,
    /// The consumers that the broker may deliver to. What is handed on before the last of them has ended might come back here, and be
    /// returned.
    pub deliveries: TaskTracker,
    /// Cancelled when the drain's time is nearly up: no answer is waited for any longer.
    pub cut_off: CancellationToken,
    /// Cancelled when nothing is left to be settled.
    pub settled: CancellationToken,
}

/// What the ledger has of a run, to be given back unless it ends with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Nothing, as far as is known.
    Nothing,
    /// A claim, or the claim of a statement that was not answered.
    Claim,
    /// A claim, and a lone run that was counted.
    LoneRun,
}

impl Processor {
    /// Takes one delivery all the way.
    ///
    /// It came with the mails that are set `apart`, or with all others.
    pub async fn process(self: Arc<Self>, delivery: Delivery, apart: Option<Arc<Apart>>) {
        let began = Instant::now();
        let span = spans::process(&delivery);
        let hold_until = began + self.limits.hold;
        let (receipt, task) = Task::read(delivery, self.clock.now(), self.limits.retention, hold_until);
        let outcome = match task {
            Ok(mut task) => {
                task.expires = self.end_of_use(&task);
                task.apart = apart;
                task.address = self.suppressions.hashes(&task.mail.email);
                self.process_task(task, receipt).instrument(span.clone()).await
            }
            Err(rejected) => Some(self.dead_letter(rejected, receipt).instrument(span.clone()).await),
        };
        if let Some(outcome) = outcome {
            span.record("sluice.disposition", outcome.label());
            self.metrics.finished(outcome.label(), outcome.reason(), began.elapsed());
            if matches!(outcome, Outcome::Duplicate) {
                self.metrics.duplicate();
            }
        }
    }

    /// Nothing is claimed for a message that cannot be read: it is put aside as it is.
    async fn dead_letter(&self, rejected: Rejected, receipt: Receipt) -> Outcome {
        let Rejected { message, letter } = rejected;
        let outgoing = republish::to_dead_letters(message, &letter, self.clock.now());
        tracing::warn!(
            task = republish::id(&outgoing).map(tracing::field::display),
            reason = letter.reason.slug(),
            detail = letter.detail,
            "a message is put aside: it can't become a mail"
        );
        if let Some(id) = republish::id(&outgoing) {
            self.tell_of_rejected(id, &letter).await;
        }
        self.publish_then_ack(outgoing, [receipt], Outcome::Dead(letter)).await
    }

    async fn process_task(&self, task: Task, receipt: Receipt) -> Option<Outcome> {
        match self.in_flight.enter(&task, receipt) {
            Entering::Entered(guard) => {
                let (mut held, mut said) = (Held::Nothing, None);
                let outcome = self.run(&task, &mut held, &mut said).await;
                let outcome = self.tell_of(&task, outcome, said.as_ref()).await;
                self.mail_log.ended(&task, &outcome, self.clock.now());
                Some(self.conclude(task, outcome, held, guard).await)
            }
            Entering::Worn { receipt, deliveries } => {
                let outgoing = republish::to_wait(task.message, self.limits.retry_schedule.first(), deliveries);
                Some(self.publish_then_ack(outgoing, [receipt], self.waits(Deferral::ClaimedElsewhere)).await)
            }
            Entering::Attached => None,
        }
    }

    /// Claims the task and sends its mail, as far as that goes. `said` is why the last conversation about it failed, if one did.
    async fn run(&self, task: &Task, held: &mut Held, said: &mut Option<SendError>) -> Outcome {
        if let Err(outcome) = self.is_of_use(task) {
            return outcome;
        }
        if let Err(outcome) = self.is_where_it_belongs(task).await {
            return outcome;
        }
        if task.is_newly_suspect() {
            return Outcome::Suspected;
        }
        let _guard = match self.patiently(task, self.exclusive.enter(task.suspect)).await {
            Ok(guard) => guard,
            Err(outcome) => return outcome,
        };
        // Not cut short by a drain: a claim that is under way would be granted after it was released.
        match self.cleared(task, held).await {
            Err(outcome) => outcome,
            Ok(until) => self.send(task, until, said).await,
        }
    }

    /// Claims the task, and counts the run if it is to run alone. Returns how long the claim holds.
    async fn cleared(&self, task: &Task, held: &mut Held) -> Result<Instant, Outcome> {
        let id = task.identity.id();
        *held = Held::Claim;
        let claim = loop {
            let claim = match self.may_be_suppressed(task) {
                Some(address) => self.ledger.claim_unless_suppressed(id, address).await,
                None => self.ledger.claim(id).await,
            };
            match claim {
                Ok(claim) => break claim,
                Err(down) => self.hold_for_the_ledger(task, &down).await?,
            }
        };
        let until = match claim {
            Claim::Ours { until } => until,
            Claim::Sent | Claim::Elsewhere => {
                *held = Held::Nothing;
                return Err(self.not_claimed(task, claim));
            }
            // Marked, or claimed to be marked with its event.
            Claim::Suppressed => return Err(self.not_claimed(task, claim)),
        };
        if task.suspect {
            *held = Held::LoneRun;
            let run = loop {
                match self.ledger.begin_lone_run(id).await {
                    Ok(run) => break run,
                    Err(down) => self.hold_for_the_ledger(task, &down).await?,
                }
            };
            tracing::warn!(task = %id, run, "a suspect runs alone");
            if run > LONE_RUNS {
                let (reason, detail) = (
                    DeadReason::CrashesWorker,
                    format!("the worker died {LONE_RUNS} times with only this task in flight"),
                );
                tracing::warn!(task = %id, reason = reason.slug(), detail, "a task is put aside");
                return Err(Outcome::Dead(DeadLetter::new(reason, detail)));
            }
        }
        Ok(until)
    }

    fn not_claimed(&self, task: &Task, claim: Claim) -> Outcome {
        match claim {
            Claim::Sent => Outcome::Duplicate,
            Claim::Suppressed => {
                let (task, mail_type) = (task.identity.id(), &task.mail.mail_type);
                tracing::info!(%task, %mail_type, "a mail is not sent: its address is suppressed");
                Outcome::Suppressed
            }
            Claim::Ours { .. } | Claim::Elsewhere => self.waits(Deferral::ClaimedElsewhere),
        }
    }

    /// The ledger did not answer: the circuit opens, and the task is held until it closes. It may be open for another cause
    /// already: then that is what is probed, and what this task waits for.
    async fn hold_for_the_ledger(&self, task: &Task, down: &LedgerDown) -> Result<(), Outcome> {
        self.ledger_is_down(down);
        let mut circuit = self.breaker.watch();
        let closed = circuit.wait_for(|state| !state.is_open());
        self.patiently(task, closed).await.map(drop)
    }

    /// Waits for something that a mail needs before `MAIL`, until the worker drains or the task has waited for as long as
    /// it may, whatever it waited for before.
    async fn patiently<T>(&self, task: &Task, wait: impl Future<Output = T>) -> Result<T, Outcome> {
        match self.ends.drain.run_until_cancelled(tokio::time::timeout_at(task.hold_until, wait)).await {
            None => Err(Outcome::Returned),
            Some(Err(_)) => Err(self.waits(Deferral::HeldTooLong)),
            Some(Ok(ready)) => Ok(ready),
        }
    }

    /// To the first retry queue, with no attempt spent.
    fn waits(&self, cause: Deferral) -> Outcome {
        Outcome::Deferred { delay: self.limits.retry_schedule.first(), cause }
    }
}
