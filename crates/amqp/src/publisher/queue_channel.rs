//! The messages of one queue, over a channel of its own.

use std::sync::Arc;

use tokio::time::Instant;

use super::CONFIRM;
use super::backlog::Waiting;
use crate::topology::{self, QueueSpec, TopologyError};
use crate::{ConfirmChannel, Connection, Outcome, Outgoing};

/// What messages are published over.
pub(super) struct QueueChannel {
    pub(super) connection: Arc<Connection>,
    /// What the queue must be, if it is ours to judge.
    pub(super) spec: Option<QueueSpec>,
    /// None: a new one is opened.
    pub(super) channel: Option<ConfirmChannel>,
}

/// What became of messages.
pub(super) struct Sent {
    pub(super) queue: String,
    pub(super) messages: Vec<Waiting>,
    pub(super) began: Instant,
    pub(super) connection: Arc<Connection>,
    pub(super) channel: Option<ConfirmChannel>,
    /// In the order of the messages. An error: nothing is known of any of them.
    pub(super) outcomes: Result<Vec<Outcome>, TopologyError>,
}

/// Publishes messages to their queue.
pub(super) async fn publish(mut over: QueueChannel, queue: String, messages: Vec<Waiting>) -> Sent {
    let began = Instant::now();
    let outgoing: Vec<Outgoing> = messages.iter().map(|waiting| waiting.message.clone()).collect();
    let outcomes = confirmed(&mut over, &outgoing).await;
    let channel = over.channel.filter(ConfirmChannel::is_open);
    Sent { queue, messages, began, connection: over.connection, channel, outcomes }
}

async fn confirmed(over: &mut QueueChannel, messages: &[Outgoing]) -> Result<Vec<Outcome>, TopologyError> {
    let channel = match over.channel.take() {
        Some(channel) => channel,
        None => {
            topology::ensure(&over.connection, over.spec.as_slice()).await?;
            ConfirmChannel::open(&over.connection, CONFIRM).await?
        }
    };
    Ok(over.channel.insert(channel).publish(messages).await?)
}
