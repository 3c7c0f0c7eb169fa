//! A command that reads through a queue: alone, with its progress on a terminal, and with an orderly end.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use amqp::queues::{self, Marked};
use amqp::{Broker, Bulk, ConfirmChannel, Connection, Delivery, Outcome, Outgoing, Receipt};
use anyhow::{Context as _, bail};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::moves;

/// Messages published together, and so at most what is in both queues when a command is killed.
pub const BATCH: usize = 256;
/// How long the broker may take to confirm a batch.
const CONFIRM: Duration = Duration::from_secs(30);
/// How often it is looked whether another command is done.
const ANOTHER_LOOK: Duration = Duration::from_millis(200);
/// What takes less needs no progress, and it is shown anew so often.
const PROGRESS: Duration = Duration::from_secs(1);

/// The right to read a queue, which only one command has at a time: what one reads, others do not see.
#[derive(Debug)]
pub struct Turn {
    broker: Broker,
    queue: String,
    /// The broker takes the marker away with it.
    connection: Connection,
    stop: CancellationToken,
}

impl Turn {
    /// Waits until no other command such as this reads `queue`.
    ///
    /// # Errors
    /// The broker can't be reached; [`Interrupted`].
    pub async fn wait(broker: &Broker, queue: &str, stop: &CancellationToken) -> anyhow::Result<Self> {
        let connection = broker.connect().await.with_context(|| format!("connect to the broker to read {queue}"))?;
        alone(&connection, queue, stop).await?;
        Ok(Self { broker: broker.clone(), queue: queue.to_owned(), connection, stop: stop.clone() })
    }

    /// Reads the queue from its beginning.
    ///
    /// # Errors
    /// There is no such queue, or the connection is gone.
    pub async fn read(&self) -> anyhow::Result<Reading> {
        self.read_queue(&self.queue).await
    }

    /// Reads another queue, which belongs to this one.
    ///
    /// # Errors
    /// There is no such queue, or the connection is gone.
    pub async fn read_queue(&self, queue: &str) -> anyhow::Result<Reading> {
        let bulk = Bulk::open(&self.connection, queue).await?;
        let progress = Progress::new(queue);
        let (broker, queue, stop) = (self.broker.clone(), queue.to_owned(), self.stop.clone());
        Ok(Reading { broker, queue, line: None, bulk, stop, interrupted: false, progress })
    }

    /// The connection that the queue is read by.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Lets the next one begin.
    pub async fn end(self) {
        self.connection.close().await;
    }
}

/// A signal ended the command before its work was done.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: what was done is done, the rest is as it was; run it again to go on")]
pub struct Interrupted;

/// A queue that is being read.
#[derive(Debug)]
pub struct Reading {
    broker: Broker,
    queue: String,
    /// What is published goes over a connection of its own, where acknowledgements are not blocked with it.
    line: Option<(Connection, ConfirmChannel)>,
    bulk: Bulk,
    stop: CancellationToken,
    interrupted: bool,
    progress: Progress,
}

impl Reading {
    /// The next message; `None` after the last, and when the command is to stop.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn next(&mut self) -> anyhow::Result<Option<Delivery>> {
        self.progress.show(self.bulk.read(), self.bulk.total());
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                self.interrupted = true;
                Ok(None)
            }
            next = self.bulk.next() => Ok(next?),
        }
    }

    /// So many were meant so far; shown with the progress.
    pub fn matched(&mut self, count: usize) {
        self.progress.matched = count;
    }

    /// Whether it was told to stop before the last message.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Publishes a batch, and takes off the queue what was confirmed. How many.
    ///
    /// # Errors
    /// Something was not confirmed, and is where it was.
    pub async fn move_on(&mut self, batch: Vec<(Outgoing, Receipt)>) -> anyhow::Result<usize> {
        if batch.is_empty() {
            return Ok(0);
        }
        let (mut messages, mut receipts): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let mut outcomes = self.publish(&messages).await?;
        let too_large = |outcome: &Outcome| *outcome == Outcome::TooLarge;
        if outcomes.iter().any(too_large) {
            for (message, _) in messages.iter_mut().zip(&outcomes).filter(|(_, outcome)| too_large(outcome)) {
                *message = moves::without_strangers(message.clone());
            }
            let again: Vec<_> =
                messages.iter().zip(&outcomes).filter(|(_, o)| too_large(o)).map(|(m, _)| m.clone()).collect();
            let mut second = self.publish(&again).await?.into_iter();
            for outcome in outcomes.iter_mut().filter(|outcome| too_large(outcome)) {
                if let Some(second) = second.next() {
                    *outcome = second;
                }
            }
        }
        let refused = outcomes.iter().position(|outcome| *outcome != Outcome::Confirmed);
        let mut kept = outcomes.iter().map(|outcome| *outcome == Outcome::Confirmed);
        receipts.retain(|_| kept.next().unwrap_or(false));
        let settled = self.settle(&receipts).await?;
        if let Some(at) = refused {
            bail!("the broker did not take a message of {} for {}: {:?}", self.queue, messages[at].queue, outcomes[at]);
        }
        Ok(settled)
    }

    /// Takes these off the queue. How many.
    ///
    /// # Errors
    /// The connection was lost before all of them were.
    pub async fn settle(&mut self, receipts: &[Receipt]) -> anyhow::Result<usize> {
        let settled = self.bulk.settle(receipts).await;
        // What was published already comes again, with the same id: it is mailed once.
        anyhow::ensure!(settled == receipts.len(), "the connection was lost before all was taken off {}", self.queue);
        Ok(settled)
    }

    /// Gives the rest back; `result` is what the command came to.
    ///
    /// # Errors
    /// That of `result` before any other.
    pub async fn close<T>(mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        self.progress.clear();
        let closed = self.bulk.close().await;
        if let Some((connection, _)) = self.line {
            connection.close().await;
        }
        let result = result?;
        closed?;
        Ok(result)
    }

    async fn publish(&mut self, messages: &[Outgoing]) -> anyhow::Result<Vec<Outcome>> {
        let attempt = || format!("move {} messages of {}", messages.len(), self.queue);
        let line = match self.line.take() {
            Some(line) => line,
            None => {
                let connection = self.broker.connect().await.with_context(attempt)?;
                let confirms = ConfirmChannel::open(&connection, CONFIRM).await.with_context(attempt)?;
                (connection, confirms)
            }
        };
        let (_, confirms) = self.line.insert(line);
        confirms.publish(messages).await.with_context(attempt)
    }
}

/// Waits until no other command reads `queue`, and keeps others from it for as long as the connection lasts.
#[allow(clippy::print_stderr, reason = "for the person who waits")]
async fn alone(connection: &Connection, queue: &str, stop: &CancellationToken) -> anyhow::Result<()> {
    let marker = format!("{queue}.lock");
    let mut told = false;
    loop {
        match queues::mark(connection, &marker).await? {
            Marked::Ours => return Ok(()),
            Marked::Forbidden => {
                eprintln!(
                    "warning: the user of AMQP_URL must not declare {marker}: another command on {queue} at the same \
                     time would see only a part of it"
                );
                return Ok(());
            }
            Marked::Theirs if !told => {
                eprintln!("another command reads {queue}: waiting until it is done");
                told = true;
            }
            Marked::Theirs => {}
        }
        let waited = stop.run_until_cancelled(tokio::time::sleep(ANOTHER_LOOK)).await;
        if waited.is_none() {
            return Err(Interrupted.into());
        }
    }
}

/// What shows on a terminal when it takes longer.
#[derive(Debug)]
struct Progress {
    queue: String,
    matched: usize,
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    fn new(queue: &str) -> Self {
        let next = stderr().is_terminal().then(|| Instant::now() + PROGRESS);
        Self { queue: queue.to_owned(), matched: 0, next, shown: false }
    }

    fn show(&mut self, read: u32, total: u32) {
        let Some(next) = self.next.filter(|next| Instant::now() >= *next) else { return };
        self.next = Some(next + PROGRESS);
        self.shown = true;
        let _ = write!(stderr(), "\r\u{1b}[K{}: {read} of {total} read, {} taken", self.queue, self.matched);
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}
