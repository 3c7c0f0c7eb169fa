//! The end of a run: what its outcome asks for is done, and the delivery is acknowledged last.

use std::pin::pin;
use std::time::Duration;

use amqp::{Outgoing, PublishError, Receipt};
use contract::TaskId;
use tokio::time::Instant;

use super::in_flight::InFlightGuard;
use super::outcome::{Deferral, Outcome};
use super::task::{Identity, Message, Task};
use super::{Held, Processor, republish};
use crate::ledger::{Cancelled, Marking};

/// How long a worker that drains tries to publish a task for another one.
pub(super) const HAND_ON: Duration = Duration::from_secs(5);

/// How long a mark may take, where the hold is over when the mail is accepted.
pub(super) const MARK: Duration = Duration::from_secs(30);

impl Processor {
    /// Does what the outcome asks for, and says what became of the delivery. It is acknowledged last.
    pub(super) async fn conclude(&self, task: Task, mut outcome: Outcome, held: Held, guard: InFlightGuard) -> Outcome {
        let id = task.identity.id();
        let is_bare = matches!(task.identity, Identity::Bare { .. });
        let queue = task.queue();
        let Task { message, attempt, deliveries, hold_until, .. } = task;
        let outgoing = match &mut outcome {
            Outcome::Sent(marking) => {
                self.settle_once_marked(message, deliveries, hold_until, marking, guard).await;
                return outcome;
            }
            Outcome::Duplicate | Outcome::Suppressed => {
                acknowledge(guard.leave()).await;
                return outcome;
            }
            Outcome::Expired => {
                self.give_back(id, held).await;
                acknowledge(guard.leave()).await;
                return outcome;
            }
            Outcome::Returned => {
                self.give_back(id, held).await;
                self.hand_on(message, queue, deliveries, guard).await;
                return outcome;
            }
            Outcome::Deferred { delay, cause } => match *cause {
                Deferral::Failed { first_failed } | Deferral::UnknownType { first_failed } => {
                    republish::to_retry(message, *delay, attempt.next(), first_failed)
                }
                Deferral::Unanswered { first_failed } => {
                    republish::to_repeat(message, *delay, attempt.next(), first_failed)
                }
                Deferral::ClaimedElsewhere | Deferral::HeldTooLong => republish::to_wait(message, *delay, deliveries),
            },
            Outcome::SetApart(apart) => republish::to_set_apart(message, apart.queue(), deliveries),
            Outcome::Suspected => republish::to_suspect(message),
            Outcome::Dead(letter) => republish::to_dead_letters(message, letter, self.clock.now()),
        };
        self.give_back(id, held).await;
        if !outcome.is_told() {
            let attempts = u32::from(attempt);
            tracing::info!(task = %id, queue = %outgoing.queue, attempts, "a task moves on");
        }
        // From here on a delivery of this task may be the copy that is about to be published: it is a run of its own.
        let receipts = guard.leave();
        if is_bare && !receipts.iter().any(Receipt::is_live) {
            // The broker delivers it again, as a task that nothing connects with this one: a copy would be a second mail.
            return Outcome::Returned;
        }
        self.publish_then_ack(outgoing, receipts, outcome).await
    }

    /// The mail server has the mail, and the mark is under way: only when it is durable the delivery may go. While the
    /// ledger's database is away that may take longer than a delivery may be held. Then a copy waits on the first retry
    /// queue instead, and joins this run again when it comes back before the mark.
    async fn settle_once_marked(
        &self,
        message: Message,
        deliveries: u64,
        mut hold_until: Instant,
        marking: &mut Marking,
        guard: InFlightGuard,
    ) {
        let mut marked = pin!(marking.done());
        hold_until = hold_until.max(Instant::now() + MARK.min(self.limits.hold));
        loop {
            match tokio::time::timeout_at(hold_until, &mut marked).await {
                Ok(Ok(())) => return acknowledge(guard.leave()).await,
                // Stopped before the mark: unacknowledged, it is repeated elsewhere.
                Ok(Err(Cancelled)) => return,
                Err(_) => {}
            }
            hold_until = Instant::now() + self.limits.hold;
            let receipts = guard.take_live();
            if !receipts.is_empty() {
                let outgoing = republish::to_wait(message.clone(), self.limits.retry_schedule.first(), deliveries);
                self.publish_then_ack(outgoing, receipts, self.waits(Deferral::ClaimedElsewhere)).await;
            }
        }
    }

    /// Published anew rather than given back: what is given back counts as delivered once more, and a bare task is
    /// known by its id from here on. Where the broker does not take it in time, it stays unacknowledged: the broker has it
    /// back when the connection ends, as it has what this worker lost with an earlier one.
    async fn hand_on(&self, message: Message, queue: String, deliveries: u64, guard: InFlightGuard) {
        // Closed, it can be waited for; a consumer that is there is waited for all the same.
        self.ends.deliveries.close();
        self.ends.deliveries.wait().await;
        let receipts = guard.leave();
        if receipts.iter().any(Receipt::is_live) {
            let handed_on = self.publisher.publish(republish::to_hand_on(message, queue, deliveries));
            if let Ok(Ok(())) = tokio::time::timeout(HAND_ON, handed_on).await {
                acknowledge(receipts).await;
            }
        }
    }

    /// A claim that is not given back only runs out later: the task waits for it on a retry queue.
    async fn give_back(&self, id: TaskId, held: Held) {
        let given_back = match held {
            Held::Nothing => return,
            Held::Claim => self.ledger.release(&[id]).await,
            Held::LoneRun => self.ledger.end_lone_run(id).await,
        };
        if let Err(down) = given_back {
            tracing::warn!(error = %down, task = %id, "a claim was not released: it runs out by itself");
        }
    }

    /// The outcome, or [`Outcome::Returned`] where the broker does not take the message: it delivers the task again.
    pub(super) async fn publish_then_ack(
        &self,
        outgoing: Outgoing,
        receipts: impl IntoIterator<Item = Receipt>,
        outcome: Outcome,
    ) -> Outcome {
        let published = match self.publisher.publish(outgoing).await {
            Err(PublishError::TooLarge(outgoing)) => {
                tracing::warn!(queue = %outgoing.queue, "a message moves on without the headers of strangers: they fit into no frame");
                self.publisher.publish(republish::without_strangers(*outgoing)).await
            }
            published => published,
        };
        if let Err(error) = published {
            tracing::warn!(%error, "a task does not move on: the broker delivers it again");
            return Outcome::Returned;
        }
        acknowledge(receipts).await;
        outcome
    }
}

/// A receipt of a connection that is gone is stale: the broker delivers that task again, and the ledger knows it.
async fn acknowledge(receipts: impl IntoIterator<Item = Receipt>) {
    for receipt in receipts {
        receipt.ack().await;
    }
}
