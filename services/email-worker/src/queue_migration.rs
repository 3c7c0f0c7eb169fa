//! Moving the messages of a queue that is not as it must be into one that is, under the same name.
//!
//! Its messages go to a shelter, the queue is deleted when it is empty, declared anew, and they come back. Each is published
//! with a confirm before it leaves where it was, and each state says what comes next, so the command can be run again
//! wherever it ended. Why, and what others may do meanwhile: decision 20 in `docs/decisions`.

use amqp::queues::{self, Deleted};
use amqp::topology::{self, QueueSpec, TopologyError};
use amqp::{Broker, Connection};
use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use crate::delivery::republish;
use crate::delivery::task::Message;
use crate::reading::{BATCH, Turn};

/// Something may come into the queue between its last message and its end; more often than this somebody must be stopped.
const ATTEMPTS: u32 = 20;

/// What a migration came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Messages that are in the right queue now, and were not before.
    pub messages: usize,
    /// It was told to stop before its end, and is to be run again.
    pub interrupted: bool,
}

/// Somebody consumes the queue: nothing was touched.
#[derive(Debug, thiserror::Error)]
#[error("queue `{queue}` has {consumers} consumers: stop them, then run this again; nothing was touched")]
pub struct Consumed {
    queue: String,
    consumers: u32,
}

/// Messages came and went with the queue, in the moment between looking and deleting.
#[derive(Debug, thiserror::Error)]
#[error(
    "{messages} messages came into `{queue}` while it was deleted and are lost: stop its producers, then run this again \
     to finish"
)]
pub struct Lost {
    queue: String,
    messages: u32,
}

/// Makes `wanted` of the queue of its name, with all its messages.
///
/// # Errors
/// The broker can't be reached; [`Consumed`]; [`Lost`]. Run again, it goes on where it ended.
pub async fn migrate(broker: &Broker, wanted: &QueueSpec, stop: &CancellationToken) -> anyhow::Result<Migrated> {
    let shelter = topology::shelter(&format!("{}.migrating", wanted.name()));
    let turn = Turn::wait(broker, wanted.name(), stop).await?;
    let result = Migration { broker, wanted, shelter, turn: &turn, stop }.run().await;
    turn.end().await;
    result
}

struct Migration<'a> {
    broker: &'a Broker,
    wanted: &'a QueueSpec,
    shelter: QueueSpec,
    turn: &'a Turn,
    stop: &'a CancellationToken,
}

impl Migration<'_> {
    async fn run(&self) -> anyhow::Result<Migrated> {
        let (name, shelter) = (self.wanted.name(), self.shelter.name());
        for _ in 0..ATTEMPTS {
            match topology::ensure(self.connection(), std::slice::from_ref(self.wanted)).await {
                Ok(()) => return self.come_back().await,
                Err(TopologyError::Mismatch { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            self.nobody_consumes().await?;
            topology::ensure(self.connection(), std::slice::from_ref(&self.shelter)).await?;
            self.empty(name, shelter).await?;
            if self.stop.is_cancelled() {
                return Ok(Migrated { messages: 0, interrupted: true });
            }
            match queues::delete_unused(self.broker, name).await.with_context(|| format!("delete the old {name}"))? {
                Deleted::With(0) | Deleted::InUse => {}
                Deleted::With(messages) => return Err(Lost { queue: name.to_owned(), messages }.into()),
            }
        }
        bail!("`{name}` is filled or made anew by somebody again and again: stop its producers, then run this again")
    }

    /// From the shelter to the queue, which is as it must be.
    async fn come_back(&self) -> anyhow::Result<Migrated> {
        let (name, shelter) = (self.wanted.name(), self.shelter.name());
        if queues::look(self.connection(), shelter).await?.is_none() {
            return Ok(Migrated::default());
        }
        let messages = self.empty(shelter, name).await?;
        if !self.stop.is_cancelled() {
            // Nobody else knows of it.
            queues::delete_unused(self.broker, shelter).await.with_context(|| format!("delete {shelter}"))?;
        }
        Ok(Migrated { messages, interrupted: self.stop.is_cancelled() })
    }

    async fn nobody_consumes(&self) -> anyhow::Result<()> {
        let queue = self.wanted.name();
        match queues::consumers(self.connection(), queue).await? {
            0 => Ok(()),
            consumers => Err(Consumed { queue: queue.to_owned(), consumers }.into()),
        }
    }

    /// Moves all messages, those that come meanwhile too. How many.
    async fn empty(&self, from: &str, to: &str) -> anyhow::Result<usize> {
        let mut moved = 0;
        loop {
            let before = moved;
            let mut reading = self.turn.read_queue(from).await?;
            let result = async {
                let mut batch = Vec::with_capacity(BATCH);
                while let Some(delivery) = reading.next().await? {
                    let message = Message { body: delivery.body, properties: delivery.properties };
                    batch.push((republish::to_queue(message, to.to_owned()), delivery.receipt));
                    reading.matched(moved + batch.len());
                    if batch.len() == BATCH {
                        moved += reading.move_on(std::mem::take(&mut batch)).await?;
                    }
                }
                moved += reading.move_on(batch).await?;
                Ok(())
            }
            .await;
            reading.close(result).await?;
            if moved == before || self.stop.is_cancelled() {
                return Ok(moved);
            }
        }
    }

    fn connection(&self) -> &Connection {
        self.turn.connection()
    }
}
