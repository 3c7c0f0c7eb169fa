//! Reading through a whole queue, fast and in bounded memory, settling some of it and leaving the rest.
//!
//! What was read stays unsettled until the end, or it would be read again; so consumers are added as the reading goes on:
//! each has room for a few megabytes, and the next one is made when all before it are full. What waits here unread is
//! never more than the last one's room, whatever the length of the queue.
//!
//! How many there are, and that there are no more, is asked by `basic.get`: a quorum queue answers it in its turn. To the
//! question after its length, RabbitMQ answers 0 when the queue's leader is busy for a quarter of a second.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::SelectAll;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::time::{Instant, timeout};

use crate::account::Account;
use crate::connection::ANSWER;
use crate::error::{AmqpError, bounded};
use crate::message::short;
use crate::queues::{ask, get};
use crate::{Connection, Delivery, Receipt, Settled};

/// What may wait here to be read, in bytes, by the size of what came so far.
const WAITING: u64 = 8 * 1024 * 1024;
/// The first consumer's room, when nothing is known of the sizes.
const FIRST: u16 = 128;
/// A larger one would gain nothing.
const LARGEST: u16 = 8192;
/// Properties, and what a message costs beside its body, in bytes.
const BESIDE_BODY: u64 = 1024;
/// After so long without a delivery the broker is asked whether there is anything left.
const QUIET: Duration = Duration::from_millis(200);
/// For the broker to take back what was read.
const RETURNING: Duration = Duration::from_secs(60);

/// Reads the messages that were in a queue at the start, oldest first. Those not acknowledged go back to their places.
#[derive(Debug)]
pub struct Bulk {
    channel: Channel,
    queue: String,
    consumers: SelectAll<Consumer>,
    made: u32,
    /// How many deliveries the consumers may have unsettled.
    room: u64,
    /// How many were there at the start.
    total: u32,
    read: u32,
    bytes: u64,
    /// What the counting took.
    first: Option<lapin::message::Delivery>,
    /// What the consumers brought.
    consumed: Arc<Account>,
    /// What was asked for one by one, and takes no room.
    got: Arc<Account>,
}

impl Bulk {
    /// Looks at `queue`.
    ///
    /// # Errors
    /// The queue does not exist, or the connection is gone.
    pub async fn open(connection: &Connection, queue: &str) -> Result<Self, AmqpError> {
        let channel = connection.channel().await?;
        let mut bulk = Self {
            channel,
            queue: queue.to_owned(),
            consumers: SelectAll::new(),
            made: 0,
            room: 0,
            total: 0,
            read: 0,
            bytes: 0,
            first: None,
            consumed: Arc::default(),
            got: Arc::default(),
        };
        if let Some((delivery, more)) = bulk.get().await? {
            bulk.total = more.saturating_add(1);
            bulk.first = Some(delivery);
        }
        Ok(bulk)
    }

    /// How many messages there were at the start; those that come meanwhile are not read.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// How many were read so far.
    pub fn read(&self) -> u32 {
        self.read
    }

    /// The next message; `None` after the last.
    ///
    /// # Errors
    /// The queue or the channel is gone.
    pub async fn next(&mut self) -> Result<Option<Delivery>, AmqpError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(self.take(first, &Arc::clone(&self.got))));
        }
        if self.read >= self.total {
            return Ok(None);
        }
        if u64::from(self.consumed.unsettled()) >= self.room {
            self.consume().await?;
        }
        match timeout(QUIET, self.consumers.next()).await {
            Ok(next) => self.delivered(next).map(Some),
            // Some may have expired since they were counted.
            Err(_) => match self.get().await? {
                Some((delivery, _)) => Ok(Some(self.take(delivery, &Arc::clone(&self.got)))),
                None => self.last_of_all(),
            },
        }
    }

    /// Takes these off the queue. How many of them the broker was told so; fewer only when the channel is gone.
    pub async fn settle(&mut self, receipts: &[Receipt]) -> usize {
        let mut settled = 0;
        for receipt in receipts {
            if receipt.ack().await == Settled::Stale {
                break;
            }
            settled += 1;
        }
        settled
    }

    /// Gives back what was not settled, and waits until the broker has it, and has what was settled.
    ///
    /// # Errors
    /// The channel is gone, and everything is back already.
    pub async fn close(self) -> Result<(), AmqpError> {
        let attempt = || format!("give back messages of {}", self.queue);
        // Answered when what was settled is done: the broker's end of a channel forgets what it has kept back of that. Where it
        // brings a message, that is given back with the others.
        if get(&self.channel, &self.queue).await?.is_some() {
            self.got.take();
        }
        // The newest first: its room is the only one that may not be full.
        let cancels = (1..=self.made).rev().map(|n| {
            let channel = &self.channel;
            async move { channel.basic_cancel(short(&tag(n)), BasicCancelOptions::default()).await }
        });
        let cancelled = async { join_all(cancels).await.into_iter().collect::<lapin::Result<Vec<()>>>() };
        bounded(RETURNING, attempt, cancelled).await?;
        let options = BasicNackOptions { multiple: true, requeue: true };
        bounded(ANSWER, attempt, self.channel.basic_nack(0, options)).await?;
        // Not answered: asked after until they are seen. Those that expire meanwhile never are.
        let deadline = Instant::now() + RETURNING;
        let unsettled = u64::from(self.consumed.unsettled()) + u64::from(self.got.unsettled());
        for asked in 0.. {
            let ready = u64::from(ask(&self.channel, &self.queue).await?.ready);
            if asked >= 2 && (ready >= unsettled || Instant::now() >= deadline) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bounded(ANSWER, || "close a channel".to_owned(), self.channel.close(200, "done".into())).await
    }

    /// The first message that waits, with the number of those after it.
    async fn get(&self) -> Result<Option<(lapin::message::Delivery, u32)>, AmqpError> {
        let got = get(&self.channel, &self.queue).await?;
        Ok(got.map(|got| (got.delivery, got.message_count)))
    }

    fn take(&mut self, delivery: lapin::message::Delivery, account: &Arc<Account>) -> Delivery {
        self.read += 1;
        self.bytes += delivery.data.len() as u64 + BESIDE_BODY;
        account.take();
        Delivery::from_lapin(delivery, Arc::clone(account))
    }

    fn last_of_all(&mut self) -> Result<Option<Delivery>, AmqpError> {
        // What was on its way when the broker was asked is here now.
        let Some(next) = futures_util::FutureExt::now_or_never(self.consumers.next()) else {
            self.total = self.read;
            return Ok(None);
        };
        self.delivered(next).map(Some)
    }

    fn delivered(&mut self, next: Option<lapin::Result<lapin::message::Delivery>>) -> Result<Delivery, AmqpError> {
        let gone = || AmqpError::Protocol(format!("the broker cancelled the consumer of {}", self.queue));
        let delivery = next.ok_or_else(gone)?.map_err(AmqpError::broker(format!("read {}", self.queue)))?;
        Ok(self.take(delivery, &Arc::clone(&self.consumed)))
    }

    async fn consume(&mut self) -> Result<(), AmqpError> {
        let room = room(self.bytes, self.read);
        let qos = self.channel.basic_qos(room, BasicQosOptions::default());
        bounded(ANSWER, || format!("set a prefetch of {room}"), qos).await?;
        self.made += 1;
        let (tag, options) = (tag(self.made), BasicConsumeOptions::default());
        let consume = self.channel.basic_consume(short(&self.queue), short(&tag), options, FieldTable::default());
        self.consumers.push(bounded(ANSWER, || format!("consume {}", self.queue), consume).await?);
        self.room += u64::from(room);
        Ok(())
    }
}

fn tag(n: u32) -> String {
    format!("bulk-{n}")
}

/// The room of the next consumer, after `read` messages of `bytes` together.
fn room(bytes: u64, read: u32) -> u16 {
    match bytes.checked_div(u64::from(read)) {
        None => FIRST,
        Some(mean) => u16::try_from(WAITING / mean.max(1)).unwrap_or(LARGEST).clamp(FIRST, LARGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_wait_unread_is_bounded_by_the_size_of_what_came() {
        for (bytes, read, expected) in
            [(0, 0, FIRST), (128 * 1200, 128, 6990), (100 * 500, 100, LARGEST), (128 * 66_560, 128, FIRST)]
        {
            assert_eq!(room(bytes, read), expected, "{bytes} bytes in {read} messages");
        }
    }
}
