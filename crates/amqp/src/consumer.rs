//! Consuming with manual acknowledgement.

use std::collections::VecDeque;

use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Consumer};

use crate::connection::ANSWER;
use crate::error::{AmqpError, bounded};
use crate::message::short;
use crate::{Connection, Properties};

/// A message that was delivered and is not settled yet.
#[derive(Debug)]
pub struct Delivery {
    /// The body.
    pub body: Vec<u8>,
    /// The properties.
    pub properties: Properties,
    /// The broker delivered it before, to whomever.
    pub redelivered: bool,
    /// How often before, as far as the broker counts: see [decision 7](../../../docs/decisions/0007-suspects.md).
    pub delivery_count: u64,
    /// To settle it with.
    pub receipt: Receipt,
}

impl Delivery {
    pub(crate) fn from_lapin(delivery: lapin::message::Delivery) -> Self {
        let properties = Properties::from_lapin(&delivery.properties);
        Self {
            body: delivery.data,
            redelivered: delivery.redelivered,
            delivery_count: properties.headers.get_u64("x-delivery-count").unwrap_or(0),
            properties,
            receipt: Receipt { acker: delivery.acker, tag: delivery.delivery_tag },
        }
    }
}

/// The right to settle one delivery, once. It outlives its channel: it is stale then, and the broker delivers the message
/// again.
#[derive(Debug, Clone)]
pub struct Receipt {
    acker: Acker,
    tag: u64,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was written to the broker.
    Sent,
    /// The channel is gone, or the delivery was settled before.
    Stale,
}

impl Receipt {
    /// Done: the broker forgets the message.
    pub async fn ack(&self) -> Settled {
        settled(self.acker.ack(BasicAckOptions::default()).await)
    }

    /// Not done: the broker delivers it again, to anyone.
    pub async fn requeue(&self) -> Settled {
        settled(self.acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await)
    }

    /// Whether it can still be settled, as far as is known here.
    pub fn is_live(&self) -> bool {
        self.acker.usable()
    }

    /// The broker's number of the delivery, on its channel.
    pub fn delivery_tag(&self) -> u64 {
        self.tag
    }
}

fn settled(result: lapin::Result<bool>) -> Settled {
    match result {
        Ok(true) => Settled::Sent,
        Ok(false) | Err(_) => Settled::Stale,
    }
}

/// A channel that consumes one queue, with a prefetch that can change. The channel stays the same over all changes, so
/// that earlier deliveries can still be settled.
#[derive(Debug)]
pub struct Subscription {
    channel: Channel,
    queue: String,
    name: String,
    consumer: Option<(Consumer, String)>,
    consumers: u32,
    /// Delivered, but not handed out when its consumer was cancelled.
    leftover: VecDeque<Delivery>,
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
        Ok(Self { channel, queue, name, consumer: None, consumers: 0, leftover: VecDeque::new() })
    }

    /// Lets at most `prefetch` deliveries be unsettled at a time; `None` stops the deliveries. What was delivered so far
    /// is unaffected, and still handed out by [`Self::next`].
    ///
    /// # Errors
    /// The channel is gone, or the queue is.
    pub async fn set_prefetch(&mut self, prefetch: Option<u16>) -> Result<(), AmqpError> {
        if let Some((mut consumer, tag)) = self.consumer.take() {
            let cancel = self.channel.basic_cancel(short(&tag), BasicCancelOptions::default());
            bounded(ANSWER, || format!("cancel the consumer of {}", self.queue), cancel).await?;
            while let Some(delivery) = consumer.next().await {
                let delivery = delivery.map_err(AmqpError::broker(format!("consume {}", self.queue)))?;
                self.leftover.push_back(Delivery::from_lapin(delivery));
            }
        }
        let Some(prefetch) = prefetch else { return Ok(()) };
        let qos = self.channel.basic_qos(prefetch, BasicQosOptions::default());
        bounded(ANSWER, || format!("set a prefetch of {prefetch}"), qos).await?;
        self.consumers += 1;
        let tag = format!("{}-{}", self.name, self.consumers);
        let options = BasicConsumeOptions::default();
        let consume = self.channel.basic_consume(short(&self.queue), short(&tag), options, FieldTable::default());
        let consumer = bounded(ANSWER, || format!("consume {}", self.queue), consume).await?;
        self.consumer = Some((consumer, tag));
        Ok(())
    }

    /// The next delivery. Waits for ever while deliveries are stopped. `None`: the broker cancelled the consumer (the
    /// queue was deleted, or a delivery was held for too long). After `None` or an error the channel must be dropped.
    ///
    /// # Errors
    /// The channel or the connection is gone.
    pub async fn next(&mut self) -> Option<Result<Delivery, AmqpError>> {
        if let Some(delivery) = self.leftover.pop_front() {
            return Some(Ok(delivery));
        }
        let Some((consumer, _)) = &mut self.consumer else { return std::future::pending().await };
        match consumer.next().await? {
            Ok(delivery) => Some(Ok(Delivery::from_lapin(delivery))),
            Err(error) => Some(Err(AmqpError::broker(format!("consume {}", self.queue))(error))),
        }
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
}
