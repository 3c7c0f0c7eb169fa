//! Writes what is to be remembered, and ends what turned out wrong, beside the mails.
//!
//! None of it is worth a wait of a mail: where the database is away it is tried again, and what has no room meanwhile is
//! not remembered. The next refusal tells it again.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::backoff::Backoff;
use platform::postgres::{NoAnswer, ask};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Bounce;
use super::keys::AddressHashes;
use super::store::{Forget, Remember, Source};
use crate::metrics::Metrics;

/// What may wait for the database.
const QUEUE: usize = 1024;
/// Addresses a statement.
const BATCH: usize = 200;
/// The first and the longest wait for a database that is away.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What is left may take so long, when the worker ends.
const AT_THE_END: Duration = Duration::from_secs(2);

#[derive(Debug)]
enum Note {
    Remember(Bounce),
    Lift(AddressHashes),
}

/// Where notes are handed in.
#[derive(Debug, Clone)]
pub(super) struct Handle(mpsc::Sender<Note>);

impl Handle {
    /// This address is to be suppressed.
    pub(super) fn remember(&self, bounce: Bounce) {
        self.note(Note::Remember(bounce));
    }

    /// This one is not, unless somebody added it.
    pub(super) fn lift(&self, hashes: &AddressHashes) {
        self.note(Note::Lift(*hashes));
    }

    fn note(&self, note: Note) {
        if self.0.try_send(note).is_err() {
            tracing::debug!("a suppression is not written: the database is behind");
        }
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Receiver<Note>,
    pool: PgPool,
    key_id: String,
    ttl: Duration,
    metrics: Metrics,
}

impl Writer {
    pub(super) fn new(pool: PgPool, key_id: String, ttl: Duration, metrics: Metrics) -> (Handle, Self) {
        let (sender, queue) = mpsc::channel(QUEUE);
        (Handle(sender), Self { queue, pool, key_id, ttl, metrics })
    }

    /// Writes until the token is cancelled, then what is left, once.
    pub(super) async fn run(mut self, token: CancellationToken) {
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
        if !matches!(tokio::time::timeout(AT_THE_END, self.write(&notes)).await, Ok(Ok(()))) {
            tracing::debug!("suppressions are not written: the worker ends");
        }
    }

    /// However long the database is away. Written twice is written once.
    async fn write_at_last(&self, notes: &[Note]) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        while let Err(error) = self.write(notes).await {
            tracing::debug!(%error, "suppressions wait for the database");
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    async fn write(&self, notes: &[Note]) -> Result<(), NoAnswer> {
        let mut bounces = BTreeMap::new();
        let mut lifted = Vec::new();
        for note in notes {
            match note {
                Note::Remember(bounce) => drop(bounces.insert(bounce.hash, bounce.unknown.to_string())),
                Note::Lift(hashes) => {
                    bounces.remove(&hashes.now);
                    lifted.extend(hashes.all().map(<[u8]>::to_vec));
                }
            }
        }
        if !lifted.is_empty() {
            ask(&self.pool, &Forget { hashes: lifted, bounces_alone: true }, ANSWER_WITHIN).await?;
        }
        if bounces.is_empty() {
            return Ok(());
        }
        let (hashes, reasons) = bounces.into_iter().map(|(hash, reason)| (hash.to_vec(), reason)).unzip();
        let (key_id, source, ttl) = (self.key_id.clone(), Source::Bounce, self.ttl);
        let new = ask(&self.pool, &Remember { hashes, reasons, key_id, source, ttl }, ANSWER_WITHIN).await?;
        self.metrics.suppressed_from_now_on(new);
        tracing::debug!(addresses = new, "addresses that the mail server does not know are suppressed");
        Ok(())
    }
}
