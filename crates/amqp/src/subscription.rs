//! Consuming one queue with a prefetch that changes, and nothing given back when it does.
//!
//! A prefetch is fixed when its consumer is made. To cancel a consumer and make another would be simple, but what the queue
//! has on its way to a cancelled consumer the broker takes back: it is delivered again, marked so, and counted
//! (in RabbitMQ 3.10 to 4.3; `tests/broker/consuming.rs` shows it). So the prefetch is put together from consumers of 1, 1, 2, 4, 8 .. unsettled
//! deliveries each. More is one more consumer. Less is a consumer cancelled while it is full: as many deliveries are here,
//! unsettled, as it may have at all, so that none is on its way, and none can follow until one is settled.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::time::{Instant, timeout_at};

use crate::account::Account;
use crate::connection::ANSWER;
use crate::error::{AmqpError, bounded};
use crate::message::short;
use crate::queues::{ask, get};
use crate::{Connection, Delivery};

/// How long settlements are held up for a consumer to become full. With a backlog it takes a round trip.
const FILLING: Duration = Duration::from_millis(50);

/// A channel that consumes one queue, with a prefetch that can change. The channel stays the same over all changes, so
/// that earlier deliveries can still be settled.
#[derive(Debug)]
pub struct Subscription {
    channel: Channel,
    queue: String,
    name: String,
    /// The n-th has room for [`room`]`(n)`; at most one each.
    parts: Vec<Part>,
    /// Consumers made so far: each has a name of its own.
    made: u32,
    /// Which part is asked first for the next delivery.
    turn: usize,
    /// Delivered, and not handed out yet.
    leftover: VecDeque<Delivery>,
}

/// One consumer, and the part of the prefetch that is its own.
#[derive(Debug)]
struct Part {
    level: u32,
    consumer: Consumer,
    tag: String,
    account: Arc<Account>,
    /// Not wanted any more: cancelled as soon as it is full.
    leaving: bool,
}

/// Room of the consumer on a level: all below have the same together.
fn room(level: u32) -> u32 {
    1 << level.saturating_sub(1)
}

/// How many levels make a prefetch, rounded down to a power of two.
fn levels(prefetch: u16) -> u32 {
    prefetch.max(1).ilog2() + 1
}

impl Part {
    fn is_full(&self) -> bool {
        self.account.unsettled() >= room(self.level)
    }

    /// Its work would be done sooner than it were full.
    fn is_far_from_full(&self) -> bool {
        self.account.unsettled() < room(self.level).div_ceil(2)
    }

    fn take(&self, delivery: lapin::message::Delivery) -> Delivery {
        self.account.take();
        Delivery::from_lapin(delivery, Arc::clone(&self.account))
    }
}

impl Subscription {
    /// A channel for consuming `queue`; nothing is delivered until [`Self::set_prefetch`]. `name` is shown in the
    /// broker's list of consumers.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn open(connection: &Connection, queue: &str, name: &str) -> Result<Self, AmqpError> {
        let channel = connection.channel().await?;
        let (queue, name) = (queue.to_owned(), name.to_owned());
        Ok(Self { channel, queue, name, parts: Vec::new(), made: 0, turn: 0, leftover: VecDeque::new() })
    }

    /// Lets at most `prefetch` deliveries be unsettled at a time, rounded down to a power of two; `None` lets no further
    /// ones come. Nothing is given back: where less is wanted than before, a consumer stays until it is full (see
    /// [`Self::tend`]), so that as many as were allowed before may still come, once.
    ///
    /// # Errors
    /// The channel is gone, or the queue is.
    pub async fn set_prefetch(&mut self, prefetch: Option<u16>) -> Result<(), AmqpError> {
        let wanted = prefetch.map_or(0, levels);
        for part in &mut self.parts {
            part.leaving = part.level >= wanted;
        }
        for level in 0..wanted {
            if !self.parts.iter().any(|part| part.level == level) {
                let part = self.consume(level).await?;
                self.parts.push(part);
            }
        }
        self.tend().await
    }

    /// Cancels what is not wanted any more and is full. To be called now and then while [`Self::next`] is not waited for.
    ///
    /// # Errors
    /// The channel is gone, or the queue is.
    pub async fn tend(&mut self) -> Result<(), AmqpError> {
        // The largest first.
        for at in (0..self.parts.len()).rev() {
            let part = &self.parts[at];
            if part.leaving && !part.is_far_from_full() {
                self.cancel(at, false).await?;
            }
        }
        Ok(())
    }

    /// Ends the deliveries. What came so far is still handed out by [`Self::delivered`]. Where a consumer was not full after
    /// a moment, the queue was all but empty, and what was published at this very moment may come back to the broker.
    ///
    /// # Errors
    /// The channel is gone, or the queue is.
    pub async fn stop(&mut self) -> Result<(), AmqpError> {
        for at in (0..self.parts.len()).rev() {
            self.cancel(at, true).await?;
        }
        Ok(())
    }

    /// What was delivered and not handed out, without waiting for more.
    pub fn delivered(&mut self) -> Option<Delivery> {
        self.leftover.pop_front()
    }

    /// The next delivery. Waits for ever while deliveries are stopped. `None`: the broker cancelled a consumer (the
    /// queue was deleted, or a delivery was held for too long). After `None` or an error the channel must be dropped.
    ///
    /// # Errors
    /// The channel or the connection is gone.
    pub async fn next(&mut self) -> Option<Result<Delivery, AmqpError>> {
        if let Some(delivery) = self.delivered() {
            return Some(Ok(delivery));
        }
        poll_fn(|cx| self.poll_parts(cx)).await
    }

    /// Gives everything back that was delivered on this channel and is not settled.
    ///
    /// # Errors
    /// The channel is gone: the broker has taken everything back by itself.
    pub async fn requeue_unsettled(&mut self) -> Result<(), AmqpError> {
        self.leftover.clear();
        // Tag 0 with `multiple` is every outstanding delivery (AMQP 0-9-1, basic.nack).
        let options = BasicNackOptions { multiple: true, requeue: true };
        bounded(ANSWER, || format!("give back what is left of {}", self.queue), self.channel.basic_nack(0, options))
            .await
    }

    /// Waits until the queue has done what was settled on this channel. To be called before the connection is closed: a
    /// settlement is not answered; of those that are not done yet the broker's end of the channel keeps all but a few, and
    /// forgets them with the channel.
    ///
    /// It asks for the next message (`basic.get`), which a quorum queue answers in its turn, when all is done that it was told
    /// before. A question after its length is answered at once, whatever is still to be written; but its answer comes after
    /// the channel was told what is done, and let go what it kept.
    ///
    /// Where a message waits, this delivers it: to be settled like the others. It is the only one then, and none is kept.
    ///
    /// # Errors
    /// The channel is gone, or the queue is.
    pub async fn settled(&mut self) -> Result<Option<Delivery>, AmqpError> {
        let next = get(&self.channel, &self.queue).await?;
        for _ in 0..3 {
            ask(&self.channel, &self.queue).await?;
        }
        Ok(next.map(|next| {
            let account = Arc::<Account>::default();
            account.take();
            Delivery::from_lapin(next.delivery, account)
        }))
    }

    async fn consume(&mut self, level: u32) -> Result<Part, AmqpError> {
        let prefetch = u16::try_from(room(level)).unwrap_or(u16::MAX);
        let qos = self.channel.basic_qos(prefetch, BasicQosOptions::default());
        bounded(ANSWER, || format!("set a prefetch of {prefetch}"), qos).await?;
        self.made += 1;
        let tag = format!("{}-{}", self.name, self.made);
        let options = BasicConsumeOptions::default();
        let consume = self.channel.basic_consume(short(&self.queue), short(&tag), options, FieldTable::default());
        let consumer = bounded(ANSWER, || format!("consume {}", self.queue), consume).await?;
        Ok(Part { level, consumer, tag, account: Arc::default(), leaving: false })
    }

    /// Cancels a consumer once it is full; if it `must`, also when it is not full soon.
    async fn cancel(&mut self, at: usize, must: bool) -> Result<(), AmqpError> {
        let Self { channel, queue, parts, leftover, .. } = self;
        let part = &mut parts[at];
        let account = Arc::clone(&part.account);
        // From here on nothing is settled that would make room for a delivery before the consumer is cancelled.
        let _closed =
            bounded(ANSWER, || format!("settle what came of {queue}"), async { Ok(account.closed().await) }).await?;
        let deadline = Instant::now() + FILLING;
        while !part.is_full() {
            match timeout_at(deadline, part.consumer.next()).await {
                Ok(Some(Ok(delivery))) => leftover.push_back(part.take(delivery)),
                Ok(Some(Err(error))) => return Err(AmqpError::broker(format!("consume {queue}"))(error)),
                Ok(None) => return Err(AmqpError::Protocol(format!("the broker cancelled the consumer of {queue}"))),
                Err(_) if must => break,
                Err(_) => return Ok(()),
            }
        }
        let cancel = channel.basic_cancel(short(&part.tag), BasicCancelOptions::default());
        bounded(ANSWER, || format!("cancel a consumer of {queue}"), cancel).await?;
        // What was on its way here before the broker read that is here now.
        while let Some(delivery) = part.consumer.next().await {
            let delivery = delivery.map_err(AmqpError::broker(format!("consume {queue}")))?;
            leftover.push_back(part.take(delivery));
        }
        parts.remove(at);
        Ok(())
    }

    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery, AmqpError>>> {
        let Self { parts, turn, queue, .. } = self;
        for _ in 0..parts.len() {
            *turn = (*turn + 1) % parts.len();
            let part = &mut parts[*turn];
            if let Poll::Ready(answer) = part.consumer.poll_next_unpin(cx) {
                let delivery = answer.map(|answer| match answer {
                    Ok(delivery) => Ok(part.take(delivery)),
                    Err(error) => Err(AmqpError::broker(format!("consume {queue}"))(error)),
                });
                return Poll::Ready(delivery);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rooms_of_the_levels_make_the_prefetch_rounded_down_to_a_power_of_two() {
        for (prefetch, expected) in
            [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (32, 32), (33, 32), (255, 128), (u16::MAX, 32768)]
        {
            let whole: u32 = (0..levels(prefetch)).map(room).sum();
            assert_eq!(whole, expected, "a prefetch of {prefetch}");
        }
    }
}
