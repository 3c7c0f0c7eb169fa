//! Throwing dead letters away: those that have nothing to redrive.

use std::time::SystemTime;

use amqp::Broker;
use contract::queue;
use tokio_util::sync::CancellationToken;

use super::{Done, Filter, next_meant};
use crate::reading::{BATCH, Reading, Turn};

/// The letters that are meant, and nobody else's turn until it is decided.
#[derive(Debug)]
pub struct Discard {
    turn: Turn,
    filter: Filter,
}

impl Discard {
    /// Waits until nobody else reads the dead letters.
    ///
    /// # Errors
    /// The broker can't be reached.
    pub async fn prepare(broker: &Broker, filter: Filter, stop: &CancellationToken) -> anyhow::Result<Self> {
        Ok(Self { turn: Turn::wait(broker, queue::DEAD, stop).await?, filter })
    }

    /// How many are meant. They stay where they are.
    ///
    /// # Errors
    /// The broker can't be reached, or ends the connection.
    pub async fn count(&self) -> anyhow::Result<Done> {
        self.go(usize::MAX, false).await
    }

    /// Throws the oldest `limit` of them away.
    ///
    /// # Errors
    /// The broker can't be reached, or ends the connection; those that were not thrown away are still there.
    pub async fn execute(&self, limit: usize) -> anyhow::Result<Done> {
        self.go(limit, true).await
    }

    /// Lets others read.
    pub async fn end(self) {
        self.turn.end().await;
    }

    async fn go(&self, limit: usize, take: bool) -> anyhow::Result<Done> {
        let mut reading = self.turn.read().await?;
        let mut done = Done::default();
        let result = work(&mut reading, &self.filter, limit, &mut done.letters, take).await;
        done.interrupted = reading.is_interrupted();
        reading.close(result).await?;
        Ok(done)
    }
}

async fn work(
    reading: &mut Reading,
    filter: &Filter,
    limit: usize,
    done: &mut usize,
    take: bool,
) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let mut batch = Vec::new();
    while *done + batch.len() < limit {
        let Some(delivery) = next_meant(reading, filter, now).await? else { break };
        if !take {
            *done += 1;
            reading.matched(*done);
            continue;
        }
        batch.push(delivery.receipt);
        reading.matched(*done + batch.len());
        if batch.len() == BATCH {
            *done += reading.settle(&std::mem::take(&mut batch)).await?;
        }
    }
    *done += reading.settle(&batch).await?;
    Ok(())
}
