//! Writing beside the mails: what is worth a row and not worth a wait.
//!
//! A bounded queue and one task that writes what waits in it, many notes a statement. Where the database is away it is tried
//! again; what has no room meanwhile is lost.

use std::time::Duration;

use platform::backoff::Backoff;
use platform::postgres::{NoAnswer, is_unavailable};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What may wait for the database.
const QUEUE: usize = 1024;
/// Notes a statement.
const BATCH: usize = 200;
/// The first and the longest wait for a database that is away.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// What is left may take so long, when the worker ends.
const AT_THE_END: Duration = Duration::from_secs(2);

/// What writes.
pub(crate) trait Write: Send + Sync + 'static {
    /// What is written.
    type Note: Send + Sync + 'static;
    /// What they are called in the log.
    const NOTES: &'static str;

    /// Counts notes that are lost.
    fn lost(notes: usize);

    /// Writes them. Written twice is written once, as near as makes no difference.
    fn write(&self, notes: &[Self::Note]) -> impl Future<Output = Result<(), NoAnswer>> + Send;
}

/// Where notes are handed in. Clones share the queue.
#[derive(Debug)]
pub(crate) struct Notes<N> {
    queue: mpsc::Sender<N>,
    lost: fn(usize),
}

impl<N> Clone for Notes<N> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), lost: self.lost }
    }
}

impl<N> Notes<N> {
    /// Hands a note in; it is lost where there is no room for it.
    pub(crate) fn note(&self, note: N) {
        if self.queue.try_send(note).is_err() {
            (self.lost)(1);
        }
    }
}

/// A queue, and what empties it until the token is cancelled, and then writes what is left, once.
pub(crate) fn start<W: Write>(
    writer: W,
    token: CancellationToken,
) -> (Notes<W::Note>, impl Future<Output = ()> + Send + use<W>) {
    let (sender, queue) = mpsc::channel(QUEUE);
    (Notes { queue: sender, lost: W::lost }, Writing { writer, queue }.run(token))
}

struct Writing<W: Write> {
    writer: W,
    queue: mpsc::Receiver<W::Note>,
}

impl<W: Write> Writing<W> {
    async fn run(mut self, token: CancellationToken) {
        let mut notes = Vec::new();
        while token.run_until_cancelled(self.queue.recv_many(&mut notes, BATCH)).await.is_some_and(|count| count > 0) {
            if token.run_until_cancelled(self.write_at_last(&notes)).await.is_none() {
                break;
            }
            notes.clear();
        }
        while let Ok(note) = self.queue.try_recv() {
            notes.push(note);
        }
        // A database that hangs does not hold up the end of the worker.
        let written = tokio::time::timeout(AT_THE_END, self.writer.write(&notes)).await;
        if !notes.is_empty() && !matches!(written, Ok(Ok(()))) {
            tracing::warn!(lost = notes.len(), "{} are not written: the worker ends", W::NOTES);
            W::lost(notes.len());
        }
    }

    /// However long the database is away. What it does not take at all holds up nothing else.
    async fn write_at_last(&self, notes: &[W::Note]) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        while let Err(error) = self.writer.write(notes).await {
            if let NoAnswer::Failed(refused) = &error
                && !is_unavailable(refused)
            {
                tracing::warn!(%error, lost = notes.len(), "{} are not written: the database refuses them", W::NOTES);
                W::lost(notes.len());
                return;
            }
            tracing::debug!(%error, "{} wait for the database", W::NOTES);
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}
