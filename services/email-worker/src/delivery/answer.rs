//! The wait for the mail server's answer, which may take minutes, and what it means that none comes.

use std::pin::pin;

use contract::TaskId;
use mail::Rendered;

use super::Processor;
use super::outcome::{Deferral, Outcome};
use crate::circuit_breaker::Permit;
use crate::delivery::dead_letter::DeadLetter;
use crate::delivery::task::Task;
use crate::ledger::Claim;
use crate::send::classify::{DeadReason, Outage};
use crate::smtp::pool::{NoSession, PooledConnection};
use crate::smtp::{Accepted, SendError};

impl Processor {
    /// One transaction, on the connection that the mail holds; the claim is kept for as long as it lasts.
    pub(super) async fn transact(
        &self,
        task: &Task,
        connection: &mut PooledConnection,
        mail: &Rendered,
        permit: &Permit,
    ) -> Result<Accepted, SendError> {
        let recipient_taken = || permit.recipient_taken();
        let sending = connection.send(mail, &self.ends.cut_off, &recipient_taken);
        self.keeping_the_claim(task.identity.id(), sending).await
    }

    /// A lease is short, so that the tasks of a worker that died are soon free; an answer may take longer.
    async fn keeping_the_claim<T>(&self, id: TaskId, sending: impl Future<Output = T>) -> T {
        let mut sending = pin!(sending);
        loop {
            if let Ok(answer) = tokio::time::timeout(self.limits.renew_every, &mut sending).await {
                return answer;
            }
            let mut renewal = pin!(self.ledger.renew(id));
            let renewed = tokio::select! {
                biased;
                answer = &mut sending => {
                    // Not cut short: it would be granted after the claim was given back.
                    let _ = renewal.await;
                    return answer;
                }
                renewed = &mut renewal => renewed,
            };
            match renewed {
                Ok(Claim::Ours { .. }) => {}
                // The ledger was away for a lease, and somebody else has the task. The mail server has the mail, or will:
                // there is nothing to take back.
                Ok(Claim::Sent | Claim::Elsewhere | Claim::Suppressed) => {
                    tracing::warn!(task = %id, "the claim was lost during the send");
                }
                Err(down) => tracing::debug!(task = %id, error = %down, "the claim was not renewed: once more"),
            }
        }
    }

    /// The mail was handed over to its last byte, and nobody can know what became of it. It is sent again, a bounded number
    /// of times in all its life.
    pub(super) async fn unanswered(
        &self,
        task: &Task,
        error: &SendError,
        mut connection: PooledConnection,
        permit: Permit,
    ) -> Outcome {
        let id = task.identity.id();
        let times = task.unknown_outcomes.saturating_add(1);
        self.metrics.unknown_outcome();
        // While the worker has to end, this says nothing of the server, and there is no time for another session.
        match self.ends.cut_off.run_until_cancelled(connection.reopen()).await {
            None | Some(Err(NoSession::OthersStand)) => drop(permit),
            Some(Ok(())) => {
                if permit.unanswered(id, error) {
                    tracing::warn!(
                        cause = Outage::NoAnswerAfterData.slug(),
                        "the mail server takes mails and does not say what becomes of them: the circuit opens"
                    );
                }
            }
            Some(Err(NoSession::Failed(failure))) => self.session_failed(&failure, permit),
        }
        let again = if times > self.limits.unknown_repeats { None } else { self.next_delay(task) };
        let outcome = match again {
            Some((delay, first_failed)) => Outcome::Deferred { delay, cause: Deferral::Unanswered { first_failed } },
            None => Outcome::Dead(DeadLetter::new(DeadReason::OutcomeUnknown, error)),
        };
        tracing::warn!(task = %id, times, %error, next = outcome.next(), "nobody can know whether a mail was sent");
        outcome
    }
}
