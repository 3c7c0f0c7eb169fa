//! A command that reads through a queue: alone, with its progress on a terminal, and with an orderly end.

mod moving;

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use amqp::queues::{self, Marked};
use amqp::{Broker, Bulk, Connection, Delivery, Outgoing, Receipt};
use anyhow::Context as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::moving::{Refused, Road};

/// Messages published together, and so at most what is in both queues when a command is killed.
pub const BATCH: usize = 256;
/// How often it is looked whether another command is done.
const ANOTHER_LOOK: Duration = Duration::from_millis(200);
/// What takes less needs no progress, and it is shown anew so often.
const PROGRESS: Duration = Duration::from_secs(1);

/// Who hears how it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A person at a terminal, of a command.
    Person,
    /// Those who read the log, of a service.
    Log,
}

impl Audience {
    #[allow(clippy::print_stderr, reason = "for the person who waits")]
    fn hears(self, line: &str) {
        match self {
            Self::Person => eprintln!("{line}"),
            Self::Log => tracing::info!("{line}"),
        }
    }
}

/// The right to read a queue, which only one command has at a time: what one reads, others do not see.
#[derive(Debug)]
pub struct Turn {
    broker: Broker,
    queue: String,
    /// The broker takes the marker away with it.
    connection: Connection,
    stop: CancellationToken,
    audience: Audience,
}

impl Turn {
    /// Waits until no other command such as this reads `queue`; for a person at a terminal.
    ///
    /// # Errors
    /// The broker can't be reached; [`Interrupted`].
    pub async fn wait(broker: &Broker, queue: &str, stop: &CancellationToken) -> anyhow::Result<Self> {
        Self::wait_for(Audience::Person, broker, queue, stop).await
    }

    /// The same for others.
    ///
    /// # Errors
    /// The broker can't be reached; [`Interrupted`].
    pub async fn wait_for(
        audience: Audience,
        broker: &Broker,
        queue: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let connection = broker.connect().await.with_context(|| format!("connect to the broker to read {queue}"))?;
        alone(&connection, queue, audience, stop).await?;
        Ok(Self { broker: broker.clone(), queue: queue.to_owned(), connection, stop: stop.clone(), audience })
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
        let progress = Progress::new(queue, self.audience);
        let road = Road::new(self.broker.clone(), queue);
        let (stop, audience) = (self.stop.clone(), self.audience);
        Ok(Reading { queue: queue.to_owned(), road, bulk, stop, interrupted: false, progress, audience })
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
    queue: String,
    road: Road,
    bulk: Bulk,
    stop: CancellationToken,
    interrupted: bool,
    progress: Progress,
    audience: Audience,
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

    /// How many were read so far, and how many there were at the start.
    pub fn so_far(&self) -> (u32, u32) {
        (self.bulk.read(), self.bulk.total())
    }

    /// So many were meant so far; shown with the progress.
    pub fn matched(&mut self, count: usize) {
        self.progress.matched = count;
    }

    /// Whether it was told to stop before the last message.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Publishes a batch, and takes off the queue what was confirmed. How many; told to stop, it
    /// leaves the rest. What the broker does not take is tried again until it has taken nothing for a minute.
    ///
    /// # Errors
    /// Something was not confirmed, and is where it was.
    pub async fn move_on(&mut self, batch: Vec<(Outgoing, Receipt)>) -> anyhow::Result<usize> {
        let mut left = batch;
        let mut settled = 0;
        let mut refused: Option<Refused> = None;
        while !left.is_empty() {
            // One tries a queue that took nothing: each try may come to be there twice.
            let rest = if refused.is_some() { left.split_off(1) } else { Vec::new() };
            let moved = self.road.publish(left, refused.is_some()).await?;
            settled += self.settle(&moved.receipts).await?;
            left = moved.left;
            left.extend(rest);
            let Some(why) = moved.refusal else {
                refused = None;
                continue;
            };
            if !moved.receipts.is_empty() {
                refused = None;
            }
            let to = &left[0].0.queue;
            let again = refused.get_or_insert_with(|| Refused::new(self.audience)).again(&self.queue, to, &why)?;
            if self.stop.run_until_cancelled(tokio::time::sleep(again)).await.is_none() {
                self.interrupted = true;
                break;
            }
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
        self.road.close().await;
        let result = result?;
        closed?;
        Ok(result)
    }
}

/// Waits until no other command reads `queue`, and keeps others from it for as long as the connection lasts.
async fn alone(
    connection: &Connection,
    queue: &str,
    audience: Audience,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let marker = format!("{queue}.lock");
    let mut told = false;
    loop {
        match queues::mark(connection, &marker).await? {
            Marked::Ours => return Ok(()),
            Marked::Forbidden => {
                audience.hears(&format!(
                    "warning: the user of AMQP_URL must not declare {marker}: another command on {queue} at the same \
                     time would see only a part of it"
                ));
                return Ok(());
            }
            Marked::Theirs if !told => {
                audience.hears(&format!("another command reads {queue}: waiting until it is done"));
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
    fn new(queue: &str, audience: Audience) -> Self {
        let shows = audience == Audience::Person && stderr().is_terminal();
        let next = shows.then(|| Instant::now() + PROGRESS);
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
