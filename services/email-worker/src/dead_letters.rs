//! The dead letters, for the person who looks after them: list them, put them back, throw them away.
//!
//! All of them read the queue in bulk and leave what they do not take. Why one at a time: decision 19 in `docs/decisions`.

pub mod discard;
pub mod filter;
pub mod jobs;
mod letter;
pub mod list;
pub mod look;
pub mod redrive;
mod row;
pub mod snapshot;

use std::time::SystemTime;

use amqp::Delivery;

pub use filter::Filter;
pub use letter::{Letter, LetterObject};

use crate::reading::Reading;

/// What was done, by a command that may have been interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Letters moved, or thrown away.
    pub letters: usize,
    /// It was told to stop before its end.
    pub interrupted: bool,
}

/// The next letter that is meant; the others stay where they are.
async fn next_meant(
    reading: &mut Reading,
    filter: &Filter,
    now: SystemTime,
) -> anyhow::Result<Option<(Letter, Delivery)>> {
    while let Some(delivery) = reading.next().await? {
        let letter = Letter::read(&delivery.properties, &delivery.body);
        if filter.takes(&letter, now) {
            return Ok(Some((letter, delivery)));
        }
    }
    Ok(None)
}

/// Ends a reading that came so far and ended so.
async fn close(reading: Reading, result: anyhow::Result<()>, letters: usize) -> anyhow::Result<Done> {
    let done = Done { letters, interrupted: reading.is_interrupted() };
    reading.close(result).await?;
    Ok(done)
}
