//! Looking through a queue by taking and giving back.

use std::sync::Arc;

use lapin::Channel;
use lapin::options::{BasicGetOptions, BasicNackOptions};

use crate::connection::ANSWER;
use crate::error::{AmqpError, bounded};
use crate::message::short;
use crate::{Connection, Delivery};

/// Takes the messages that are in a queue now, one by one. Those not acknowledged go back, at the latest with the channel.
#[derive(Debug)]
pub struct Peek {
    channel: Channel,
    queue: String,
    /// How many to take: those that were there at the start, not those that come meanwhile.
    left: Option<u32>,
}

impl Peek {
    /// Looks at `queue`.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn open(connection: &Connection, queue: &str) -> Result<Self, AmqpError> {
        Ok(Self { channel: connection.channel().await?, queue: queue.to_owned(), left: None })
    }

    /// The next message, oldest first; `None` after the last.
    ///
    /// # Errors
    /// The queue does not exist, or the channel is gone.
    pub async fn next(&mut self) -> Result<Option<Delivery>, AmqpError> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let get = self.channel.basic_get(short(&self.queue), BasicGetOptions::default());
        let Some(message) = bounded(ANSWER, || format!("take a message off {}", self.queue), get).await? else {
            return Ok(None);
        };
        self.left = Some(self.left.map_or(message.message_count, |left| left - 1));
        Ok(Some(Delivery::from_lapin(message.delivery, Arc::default())))
    }

    /// Gives back all that was not acknowledged.
    ///
    /// # Errors
    /// The channel is gone, and everything is back already.
    pub async fn put_back(&mut self) -> Result<(), AmqpError> {
        let options = BasicNackOptions { multiple: true, requeue: true };
        bounded(ANSWER, || format!("give back messages of {}", self.queue), self.channel.basic_nack(0, options)).await
    }
}
