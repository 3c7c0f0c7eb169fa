//! A connection for publishing, with the one confirm channel on it.

use std::time::Duration;

use crate::topology::{self, QueueSpec, TopologyError};
use crate::{AmqpError, Broker, ConfirmChannel, Connection, Outcome, Outgoing};

/// Publishes batches until the broker, or the way to it, fails; then it is replaced by another.
#[derive(Debug)]
pub struct PublisherConnection {
    connection: Connection,
    confirms: ConfirmChannel,
}

/// What a connection is good for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Publish.
    Ready,
    /// The broker is short of memory or disk and has stopped reading. Keep it, it is what tells when that ends: on
    /// another one, each batch would arrive once more when the broker reads again.
    Blocked,
    /// Of no more use: open another.
    Closed,
}

impl PublisherConnection {
    /// Connects and makes sure of the queues. `timeout` bounds the confirms of each batch.
    ///
    /// # Errors
    /// The broker can't be reached, or a queue is not what it must be.
    pub async fn open(broker: &Broker, queues: &[QueueSpec], timeout: Duration) -> Result<Self, TopologyError> {
        let connection = broker.connect().await?;
        topology::ensure(&connection, queues).await?;
        let confirms = ConfirmChannel::open(&connection, timeout).await?;
        Ok(Self { connection, confirms })
    }

    /// The same for a topic exchange: makes sure of it, and publishes there. Its messages' queues are routing keys.
    ///
    /// # Errors
    /// As [`PublisherConnection::open`].
    pub async fn open_to(broker: &Broker, exchange: &str, timeout: Duration) -> Result<Self, TopologyError> {
        let connection = broker.connect().await?;
        topology::ensure_exchange(&connection, exchange).await?;
        let confirms = ConfirmChannel::open_to(&connection, exchange, timeout).await?;
        Ok(Self { connection, confirms })
    }

    /// What it is good for.
    pub fn state(&self) -> ConnectionState {
        if !self.connection.is_open() {
            ConnectionState::Closed
        } else if self.connection.is_blocked() {
            ConnectionState::Blocked
        } else if !self.confirms.is_open() {
            ConnectionState::Closed
        } else {
            ConnectionState::Ready
        }
    }

    /// As [`ConfirmChannel::publish`].
    ///
    /// # Errors
    /// As [`ConfirmChannel::publish`]; ask for the [`state`](Self::state) before the next batch.
    pub async fn publish(&mut self, batch: &[Outgoing]) -> Result<Vec<Outcome>, AmqpError> {
        self.confirms.publish(batch).await
    }

    /// Closes the connection politely.
    pub async fn close(self) {
        self.connection.close().await;
    }
}
