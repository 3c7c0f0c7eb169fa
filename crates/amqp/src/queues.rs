//! Looking after a queue as such: what is in it, keeping others from it, deleting it.

use std::time::Duration;

use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use crate::connection::ANSWER;
use crate::error::{AmqpError, bounded};
use crate::message::short;
use crate::reply_code::{ACCESS_REFUSED, NOT_FOUND, NOT_IMPLEMENTED, PRECONDITION_FAILED, RESOURCE_LOCKED, reply_code};
use crate::{Broker, Connection};

/// So many answers of 0 are believed, this long one after the other.
const CERTAIN: u32 = 5;
const ANOTHER_LOOK: Duration = Duration::from_millis(100);

/// What the broker says of a queue. Of a quorum queue whose leader is busy it says 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Messages that wait; not those that somebody holds.
    pub ready: u32,
    /// Consumers of anybody.
    pub consumers: u32,
}

/// What there is in `queue`; `None` where there is no such queue.
///
/// # Errors
/// The connection is gone, or the user must not look.
pub async fn look(connection: &Connection, queue: &str) -> Result<Option<QueueState>, AmqpError> {
    match ask(&connection.channel().await?, queue).await {
        Ok(state) => Ok(Some(state)),
        Err(AmqpError::Broker { source, .. }) if reply_code(&source) == Some(NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) async fn ask(channel: &Channel, queue: &str) -> Result<QueueState, AmqpError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = channel.queue_declare(short(queue), options, FieldTable::default());
    let found = bounded(ANSWER, || format!("ask after queue {queue}"), asked).await?;
    Ok(QueueState { ready: found.message_count(), consumers: found.consumer_count() })
}

/// The first message of a queue, which is held until it is settled. That there is none is true, however busy the queue.
pub(crate) async fn get(channel: &Channel, queue: &str) -> Result<Option<BasicGetMessage>, AmqpError> {
    let get = channel.basic_get(short(queue), BasicGetOptions::default());
    bounded(ANSWER, || format!("take a message off {queue}"), get).await
}

/// How many consume `queue`, as far as repeated questions tell.
///
/// # Errors
/// The connection is gone, or the user must not look.
pub async fn consumers(connection: &Connection, queue: &str) -> Result<u32, AmqpError> {
    for _ in 0..CERTAIN {
        match look(connection, queue).await? {
            // A leader that answers knows of its messages too.
            Some(QueueState { ready: 0, consumers: 0 }) => tokio::time::sleep(ANOTHER_LOOK).await,
            state => return Ok(state.map_or(0, |state| state.consumers)),
        }
    }
    Ok(0)
}

/// Whether the marker is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// For as long as the connection lasts.
    Ours,
    /// Somebody else has it.
    Theirs,
    /// This user must not declare it, and nobody can be kept away.
    Forbidden,
}

/// Keeps away whoever asks for the same marker: an exclusive queue of this name, which the broker removes with the
/// connection, however that ends.
///
/// # Errors
/// The connection is gone.
pub async fn mark(connection: &Connection, name: &str) -> Result<Marked, AmqpError> {
    let channel = connection.channel().await?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let asked = channel.queue_declare(short(name), options, FieldTable::default());
    match bounded(ANSWER, || format!("declare the marker {name}"), asked).await {
        Ok(_) => Ok(Marked::Ours),
        Err(AmqpError::Broker { source, attempt }) => match reply_code(&source) {
            Some(RESOURCE_LOCKED) => Ok(Marked::Theirs),
            Some(ACCESS_REFUSED) => Ok(Marked::Forbidden),
            _ => Err(AmqpError::Broker { attempt, source }),
        },
        Err(error) => Err(error),
    }
}

/// What became of a queue that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, with so many messages that came at the last moment.
    With(u32),
    /// Something came into it, or somebody consumes it: it is as it was.
    InUse,
}

/// Deletes a queue that is empty and that nobody consumes. A classic queue is asked to judge that itself; a quorum queue
/// can't, so it is looked at just before, and what came in between is counted.
///
/// # Errors
/// The broker can't be reached, or the user must not delete it.
pub async fn delete_unused(broker: &Broker, queue: &str) -> Result<Deleted, AmqpError> {
    let guarded = QueueDeleteOptions { if_unused: true, if_empty: true, ..QueueDeleteOptions::default() };
    match delete(broker, queue, guarded).await {
        Err(AmqpError::Broker { source, .. }) if reply_code(&source) == Some(PRECONDITION_FAILED) => Ok(Deleted::InUse),
        Err(AmqpError::Broker { source, .. }) if reply_code(&source) == Some(NOT_IMPLEMENTED) => {
            let connection = broker.connect().await?;
            let consumers = consumers(&connection, queue).await?;
            let got = get(&connection.channel().await?, queue).await?;
            // What was got goes back with it.
            connection.close().await;
            if consumers > 0 || got.is_some() {
                return Ok(Deleted::InUse);
            }
            delete(broker, queue, QueueDeleteOptions::default()).await
        }
        other => other,
    }
}

/// On a connection of its own: a quorum queue's refusal ends it.
async fn delete(broker: &Broker, queue: &str, options: QueueDeleteOptions) -> Result<Deleted, AmqpError> {
    let connection = broker.connect().await?;
    let channel = connection.channel().await?;
    let deleted =
        bounded(ANSWER, || format!("delete queue {queue}"), channel.queue_delete(short(queue), options)).await;
    connection.close().await;
    deleted.map(Deleted::With)
}
