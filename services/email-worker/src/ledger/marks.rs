//! The actor that marks mails as sent, and writes what belongs to that: rows of the mail log, and events. An event may come alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contract::TaskId;
use platform::backoff::Backoff;
use platform::postgres::{Kept, NoAnswer, is_unavailable, words};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::batch::Batcher;
use super::{Cancelled, LedgerCounters, LedgerDown, LedgerOptions, sql};
use crate::events::store::Rows as Events;
use crate::events::{self, Event};
use crate::mail_log::Entry;
use crate::mail_log::store::Mails;

/// The first and the longest wait for a database that is away.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What is written about a mail by one statement.
#[derive(Debug)]
pub(crate) struct Record {
    /// It is marked as sent.
    pub(crate) mark: Option<TaskId>,
    /// Its row in the mail log.
    pub(crate) entry: Option<Entry>,
    /// What others are told.
    pub(crate) event: Option<Event>,
}

#[derive(Debug)]
struct Request {
    record: Record,
    done: oneshot::Sender<()>,
}

/// Where marks are handed in.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    // One permit a mail that may be accepted and not yet marked, or an event that is not yet written. Closed when the actor ends.
    places: Arc<Semaphore>,
    queue: mpsc::Sender<Request>,
}

impl Handle {
    pub(super) async fn begin(&self, record: Record) -> Result<Marking, Cancelled> {
        let place = self.places.acquire().await.map_err(|_| Cancelled)?;
        let (done, marked) = oneshot::channel();
        // The queue is as long as there are places.
        self.queue.try_send(Request { record, done }).map_err(|_| Cancelled)?;
        place.forget();
        Ok(Marking(marked))
    }
}

/// A mark on its way. It gets there whether or not anybody waits for it.
#[derive(Debug)]
pub struct Marking(oneshot::Receiver<()>);

impl Marking {
    /// Resolves once the mark is durable.
    ///
    /// # Errors
    /// [`Cancelled`] when the ledger's token ended first.
    pub async fn done(&mut self) -> Result<(), Cancelled> {
        (&mut self.0).await.map_err(|_| Cancelled)
    }
}

#[derive(Debug)]
pub(super) struct Marks {
    queue: Batcher<Request>,
    places: Arc<Semaphore>,
    database: Kept,
    owner: Uuid,
    answer_within: Duration,
    events_written: Arc<Notify>,
    counters: Arc<LedgerCounters>,
}

impl Marks {
    pub(super) fn new(
        database: Kept,
        owner: Uuid,
        options: &LedgerOptions,
        counters: Arc<LedgerCounters>,
    ) -> (Handle, Self) {
        let room = options.mark_batch.max(1);
        let places = Arc::new(Semaphore::new(room));
        let (sender, queue) = mpsc::channel(room);
        let handle = Handle { places: Arc::clone(&places), queue: sender };
        let queue = Batcher::new(queue, options.mark_window, room);
        let (answer_within, events_written) = (options.answer_within, Arc::clone(&options.events_written));
        (handle, Self { queue, places, database, owner, answer_within, events_written, counters })
    }

    pub(super) async fn run(mut self, token: CancellationToken) {
        let mut batch = Vec::new();
        while token.run_until_cancelled(self.queue.fill(&mut batch)).await == Some(true) {
            if self.mark_until(&mut batch, &token).await.is_err() {
                return;
            }
        }
        self.places.close();
        self.queue.close();
        self.queue.take_waiting(&mut batch);
        if let Err(down) = self.mark(&mut batch).await {
            tracing::error!(error = %down, mails = batch.len(), "mails were sent and could not be marked: they will be repeated");
        }
    }

    /// Tries until the database has taken the batch, and what joins it meanwhile, or until the token ends.
    async fn mark_until(&mut self, batch: &mut Vec<Request>, token: &CancellationToken) -> Result<(), Cancelled> {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut failures = 0_u32;
        while let Err(down) = self.mark(batch).await {
            failures += 1;
            if failures == 1 {
                tracing::warn!(error = %down, mails = batch.len(), "marks wait for the database");
            }
            if token.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await.is_none() {
                tracing::error!(mails = batch.len(), "mails were sent and could not be marked: they will be repeated");
                return Err(Cancelled);
            }
            self.queue.take_waiting(batch);
        }
        if failures > 0 {
            tracing::info!(failures, "the database takes marks again");
        }
        Ok(())
    }

    /// Writes the batch and empties it, or leaves it as it is.
    async fn mark(&mut self, batch: &mut Vec<Request>) -> Result<(), LedgerDown> {
        if batch.is_empty() {
            return Ok(());
        }
        let records = || batch.iter().map(|request| &request.record);
        let mut ids: Vec<Uuid> = records().filter_map(|record| record.mark).map(TaskId::as_uuid).collect();
        ids.sort_unstable();
        ids.dedup();
        let marked = ids.len() as u64;
        let mark = sql::Mark { ids, owner: self.owner };
        let mails = Mails::of(records().filter_map(|record| record.entry.as_ref()));
        let events = Events::of(records().filter_map(|record| record.event.as_ref()));
        let tells = !events.is_empty();
        self.write(sql::Record { mark, mails, events }).await?;
        if tells {
            self.events_written.notify_one();
        }
        self.counters.marks.fetch_add(marked, Ordering::Relaxed);
        self.places.add_permits(batch.len());
        for request in batch.drain(..) {
            // Whoever no longer waits needs no answer.
            let _ = request.done.send(());
        }
        Ok(())
    }

    /// A log or events that can't be written hold up no mark.
    async fn write(&mut self, mut statement: sql::Record<'_>) -> Result<(), LedgerDown> {
        loop {
            self.counters.mark_trips.fetch_add(1, Ordering::Relaxed);
            match self.database.ask(&statement, self.answer_within).await {
                Err(NoAnswer::Failed(refused)) if !is_unavailable(&refused) && statement.is_more_than_marks() => {
                    leave_out(&mut statement, &words(&refused));
                }
                answer => return Ok(answer?),
            }
        }
    }
}

/// What decides nothing is left out first.
fn leave_out(statement: &mut sql::Record<'_>, refused: &str) {
    if statement.mails.is_empty() {
        let events = statement.events.len();
        tracing::error!(error = refused, events, "mails are marked without their events: nobody will hear of them");
        events::lost(events as u64);
        statement.events = Events::of([]);
    } else {
        let rows = statement.mails.len();
        tracing::warn!(error = refused, rows, "mails are marked without their rows in the mail log");
        crate::mail_log::lost(rows);
        statement.mails = Mails::of([]);
    }
}

impl Drop for Marks {
    /// However the actor ends, nobody waits for a place any more.
    fn drop(&mut self) {
        self.places.close();
    }
}
