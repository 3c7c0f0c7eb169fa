//! How the messages of a queue that is read get into another one.

use std::time::Duration;

use amqp::{AmqpError, Broker, Outcome, Outgoing, PublisherConnection, Receipt};
use anyhow::{Context as _, bail};
use platform::backoff::Backoff;
use tokio::time::Instant;

use super::Audience;
use crate::delivery::republish;

/// How long the broker may take to confirm a batch.
const CONFIRM: Duration = Duration::from_secs(30);
/// How long a queue is tried that takes nothing. Choosing a leader takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Waits between attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What is published goes over a connection of its own, where acknowledgements are not blocked with it.
#[derive(Debug)]
pub(super) struct Road {
    broker: Broker,
    /// Where the messages come from.
    from: String,
    connection: Option<PublisherConnection>,
}

/// What became of messages.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Those of what was confirmed.
    pub(super) receipts: Vec<Receipt>,
    /// What was not, as it is to be published the next time.
    pub(super) left: Vec<(Outgoing, Receipt)>,
    /// What the broker made of some of it, which it did not take.
    pub(super) refusal: Option<Outcome>,
}

impl Moved {
    fn nothing(left: Vec<(Outgoing, Receipt)>, why: Outcome) -> Self {
        Self { left, refusal: Some(why), ..Self::default() }
    }
}

impl Road {
    pub(super) fn new(broker: Broker, from: &str) -> Self {
        Self { broker, from: from.to_owned(), connection: None }
    }

    /// Publishes messages once. `again`: the broker took none of them lately, and may be slow to let us in as well.
    ///
    /// # Errors
    /// The broker can't be reached.
    pub(super) async fn publish(&mut self, batch: Vec<(Outgoing, Receipt)>, again: bool) -> anyhow::Result<Moved> {
        let attempt = || format!("move {} messages of {}", batch.len(), self.from);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match PublisherConnection::open(&self.broker, &[], CONFIRM).await {
                Ok(connection) => connection,
                Err(error) if again => return Ok(Moved::nothing(batch, Outcome::Unanswered(error.to_string()))),
                Err(error) => return Err(error).with_context(attempt),
            },
        };
        let (messages, receipts): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let attempt = || format!("move {} messages of {}", messages.len(), self.from);
        let published = connection.publish(&messages).await;
        let outcomes = match published {
            Ok(outcomes) => outcomes,
            Err(error @ AmqpError::Timeout { .. }) => vec![Outcome::Unanswered(error.to_string()); messages.len()],
            Err(error) => return Err(error).with_context(attempt),
        };
        let mut moved = Moved::default();
        for ((message, receipt), outcome) in messages.into_iter().zip(receipts).zip(outcomes) {
            match outcome {
                Outcome::Confirmed => moved.receipts.push(receipt),
                Outcome::TooLarge if republish::without_strangers(message.clone()) != message => {
                    moved.left.push((republish::without_strangers(message), receipt));
                }
                refusal => {
                    moved.refusal.get_or_insert(refusal);
                    moved.left.push((message, receipt));
                }
            }
        }
        if moved.refusal.is_none() {
            self.connection = Some(connection);
        } else {
            // The channel is spent, or may go on refusing.
            connection.close().await;
        }
        Ok(moved)
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }
}

/// A queue takes nothing.
#[derive(Debug)]
pub(super) struct Refused {
    since: Instant,
    backoff: Backoff,
    told: bool,
    audience: Audience,
}

impl Refused {
    pub(super) fn new(audience: Audience) -> Self {
        Self { since: Instant::now(), backoff: Backoff::new(RETRY.0, RETRY.1), told: false, audience }
    }

    /// How long to wait before it is tried again; the first time it is said.
    ///
    /// # Errors
    /// It was tried for long enough, or trying again would change nothing.
    pub(super) fn again(&mut self, from: &str, to: &str, why: &Outcome) -> anyhow::Result<Duration> {
        let rest = "what was moved is moved, the rest is where it was";
        match why {
            Outcome::Returned(words) => bail!("there is no queue {to} for messages of {from} ({words}); {rest}"),
            Outcome::TooLarge => bail!("the properties of a message of {from} fit into no frame; {rest}"),
            _ if self.since.elapsed() >= PATIENCE => bail!(
                "for {PATIENCE:?} the broker took no message of {from} for {to} ({why:?}); {rest}: see that {to} has room and a \
                 leader, then run this again"
            ),
            _ => {}
        }
        if !std::mem::replace(&mut self.told, true) {
            self.audience
                .hears(&format!("the broker takes no message for {to} ({why:?}): trying again for {PATIENCE:?}"));
        }
        Ok(self.backoff.next_delay())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_takes_nothing_is_tried_for_a_minute_and_then_it_is_said_what_to_do() {
        let mut refused = Refused::new(Audience::Person);
        let began = Instant::now();
        let error = loop {
            match refused.again("dead", "main", &Outcome::Nacked) {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(error) => break error.to_string(),
            }
        };
        let took = began.elapsed();
        assert!(took >= PATIENCE && took <= PATIENCE + RETRY.1, "{took:?}");
        assert!(error.contains("of dead for main (Nacked)") && error.contains("run this again"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_trying_again_would_not_change_is_said_at_once() {
        for why in [Outcome::TooLarge, Outcome::Returned("NO_ROUTE".to_owned())] {
            Refused::new(Audience::Person).again("dead", "main", &why).expect_err("it is hopeless");
        }
    }
}
