//! Tasks put into a queue as a careful producer does it.

use std::time::Duration;

use amqp::{ConfirmChannel, Outcome, Outgoing};
use tokio::time::{Instant, sleep};

/// A nack comes at once where a queue has no leader; the broker should have time for choosing it.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Publishes these messages until the broker has confirmed each.
///
/// What it nacks is in no queue, and goes again: RabbitMQ nacks the first messages for a quorum queue whose leader is
/// still being chosen (`rabbit_fifo_client:enqueue`), as that of a queue declared a moment ago may be.
///
/// # Panics
/// The broker gives any other answer, or has not taken all `within` the time.
pub async fn publish_confirmed(channel: &mut ConfirmChannel, mut messages: Vec<Outgoing>, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let outcomes = channel.publish(&messages).await.unwrap();
        let mut outcomes = outcomes.into_iter();
        messages.retain(|message| match outcomes.next() {
            Some(Outcome::Confirmed) => false,
            Some(Outcome::Nacked) => true,
            other => panic!("the broker did not take a message for {}: {other:?}", message.queue),
        });
        if messages.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "the broker still nacks {} messages after {within:?}", messages.len());
        sleep(BETWEEN_TRIES).await;
    }
}
