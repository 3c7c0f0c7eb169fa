//! Putting dead letters back on the queue.

use std::time::SystemTime;

use amqp::Broker;
use anyhow::bail;
use contract::queue;
use tokio_util::sync::CancellationToken;

use super::{Done, Filter, close, next_meant};
use crate::delivery::republish;
use crate::delivery::task::Message;
use crate::reading::{BATCH, Reading, Turn};
use platform::table::printable;

/// Puts the letters that are meant back on the queue, oldest first, at most `limit`: each by a confirmed publish before it
/// leaves the dead letters.
///
/// # Errors
/// The broker can't be reached or does not confirm; whatever was not confirmed is still among the dead letters. With an
/// id: no such letter.
pub async fn redrive(broker: &Broker, filter: &Filter, limit: usize, stop: &CancellationToken) -> anyhow::Result<Done> {
    let turn = Turn::wait(broker, queue::DEAD, stop).await?;
    let mut reading = turn.read().await?;
    let mut moved = 0;
    let result = work(&mut reading, filter, limit, &mut moved).await;
    let done = close(reading, result, moved).await;
    turn.end().await;
    let done = done?;
    match &filter.id {
        Some(id) if done.letters == 0 && !done.interrupted => bail!("no dead letter has the id {}", printable(id)),
        _ => Ok(done),
    }
}

async fn work(reading: &mut Reading, filter: &Filter, limit: usize, done: &mut usize) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let mut batch = Vec::new();
    while *done + batch.len() < limit {
        let Some((_, delivery)) = next_meant(reading, filter, now).await? else { break };
        let message = Message { body: delivery.body, properties: delivery.properties };
        batch.push((republish::to_redrive(message, SystemTime::now()), delivery.receipt));
        reading.matched(*done + batch.len());
        if batch.len() == BATCH {
            *done += reading.move_on(std::mem::take(&mut batch)).await?;
        }
        if filter.id.is_some() {
            break;
        }
    }
    *done += reading.move_on(batch).await?;
    Ok(())
}
