//! Throwing dead letters away: those that have nothing to redrive.

use std::time::SystemTime;

use amqp::Broker;
use contract::queue;
use tokio_util::sync::CancellationToken;

use super::{Done, Filter, close, next_meant};
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
        let (mut reading, mut counted) = (self.turn.read().await?, 0);
        let result = count(&mut reading, &self.filter, &mut counted).await;
        close(reading, result, counted).await
    }

    /// Throws the oldest `limit` of them away.
    ///
    /// # Errors
    /// The broker can't be reached, or ends the connection; those that were not thrown away are still there.
    pub async fn execute(&self, limit: usize) -> anyhow::Result<Done> {
        let (mut reading, mut removed) = (self.turn.read().await?, 0);
        let result = remove(&mut reading, &self.filter, limit, &mut removed).await;
        close(reading, result, removed).await
    }

    /// Lets others read.
    pub async fn end(self) {
        self.turn.end().await;
    }
}

async fn count(reading: &mut Reading, filter: &Filter, counted: &mut usize) -> anyhow::Result<()> {
    let now = SystemTime::now();
    while next_meant(reading, filter, now).await?.is_some() {
        *counted += 1;
        reading.matched(*counted);
    }
    Ok(())
}

async fn remove(reading: &mut Reading, filter: &Filter, limit: usize, removed: &mut usize) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let mut batch = Vec::new();
    while *removed + batch.len() < limit {
        let Some((_, delivery)) = next_meant(reading, filter, now).await? else { break };
        batch.push(delivery.receipt);
        reading.matched(*removed + batch.len());
        if batch.len() == BATCH {
            *removed += reading.settle(&std::mem::take(&mut batch)).await?;
        }
    }
    *removed += reading.settle(&batch).await?;
    Ok(())
}
