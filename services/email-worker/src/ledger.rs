//! The ledger: which task was claimed by whom, and which mail was sent.
//!
//! A task may be delivered more than once, to more than one worker. It is claimed before its mail is sent and marked
//! after the mail server has accepted it; only then is the delivery acknowledged. Many tasks share one round trip: an
//! actor for claims and one for marks gather what arrives while the database answers (see `batch`).
//!
//! What can happen in which order, with crashes anywhere, is checked in `tests/models/src/delivery.rs`.
//!
//! Every time in the ledger is the database's, so that the clocks of workers need not agree. Every wait has a limit.

mod batch;
mod claims;
mod down;
mod marks;
mod proof;
pub mod retention;
mod sql;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use contract::TaskId;
use futures_util::future::BoxFuture;
use platform::postgres::{self, Kept, Statement};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::claims::Claims;
pub use self::down::LedgerDown;
pub use self::marks::Marking;
use self::marks::Marks;
pub(crate) use self::marks::Record;
pub(crate) use self::proof::{Tables, keep_time, prove};
use crate::suppressions::AddressHashes;

/// The tables of the worker's database: ledger and rate.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Who may send a task's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This worker, until this moment at the earliest.
    Ours {
        /// The claim holds at least so long; afterwards another worker may have it.
        until: Instant,
    },
    /// Nobody: it was sent.
    Sent,
    /// Another worker, which has claimed it and has not marked it yet.
    Elsewhere,
    /// Nobody: its address is suppressed. It is marked, as if it had been sent; or claimed, where [`LedgerOptions::marks_suppressed`] is
    /// not so.
    Suppressed,
}

/// The worker is stopping, and the database did not take the mark before its time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker stopped before the ledger took the mark")]
pub struct Cancelled;

/// How the ledger works; the defaults are for a worker at full rate.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// How long a claim holds: longer than the longest possible send.
    pub lease: Duration,
    /// A claim waits for others at most so long, and not at all when the worker is quiet.
    pub claim_window: Duration,
    /// At most so many claims share one statement.
    pub claim_batch: usize,
    /// A mark waits for others at most so long, and not at all when the worker is quiet.
    pub mark_window: Duration,
    /// At most so many mails are accepted and not yet marked, so that a crash repeats no more than these.
    pub mark_batch: usize,
    /// A round trip may take so long, a new connection included; then the database counts as down.
    pub answer_within: Duration,
    /// Whether a task with a suppressed address is marked by the statement that finds it. Otherwise it is claimed, for whoever marks it
    /// together with its event.
    pub marks_suppressed: bool,
    /// Rung whenever events were written.
    pub events_written: Arc<Notify>,
}

impl LedgerOptions {
    /// The defaults with this lease.
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            claim_window: Duration::from_millis(10),
            claim_batch: 200,
            mark_window: Duration::from_millis(25),
            mark_batch: 100,
            answer_within: Duration::from_secs(2),
            marks_suppressed: true,
            events_written: Arc::default(),
        }
    }
}

/// Numbers this worker's claims and releases. A statement may be late, behind one that was made after it: its number tells.
#[derive(Debug, Clone, Default)]
struct Fences(Arc<AtomicI64>);

impl Fences {
    /// Higher than all before.
    fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// How many round trips the ledger made, and for how much.
#[derive(Debug, Default)]
pub struct LedgerCounters {
    claim_trips: AtomicU64,
    claims: AtomicU64,
    mark_trips: AtomicU64,
    marks: AtomicU64,
    other_trips: AtomicU64,
}

/// [`LedgerCounters`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Round trips for claims and renewals.
    pub claim_trips: u64,
    /// Tasks in these.
    pub claims: u64,
    /// Round trips for marks, failed ones included.
    pub mark_trips: u64,
    /// Tasks marked.
    pub marks: u64,
    /// Round trips for everything else: releases, lone runs, probes.
    pub other_trips: u64,
}

impl LedgerCounters {
    fn counts(&self) -> LedgerCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LedgerCounts {
            claim_trips: read(&self.claim_trips),
            claims: read(&self.claims),
            mark_trips: read(&self.mark_trips),
            marks: read(&self.marks),
            other_trips: read(&self.other_trips),
        }
    }
}

impl LedgerCounts {
    /// All round trips.
    pub fn trips(&self) -> u64 {
        self.claim_trips + self.mark_trips + self.other_trips
    }
}

/// What works for a ledger. Each ends when every handle is gone, or soon after the token is cancelled: by then claims are
/// refused, and marks that wait get one more try.
pub struct Actors {
    /// Claims tasks.
    pub claims: BoxFuture<'static, ()>,
    /// Marks mails as sent.
    pub marks: BoxFuture<'static, ()>,
}

impl std::fmt::Debug for Actors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Actors")
    }
}

/// A handle to the ledger. Clones share the actors.
#[derive(Debug, Clone)]
pub struct Ledger {
    pool: PgPool,
    owner: Uuid,
    fences: Fences,
    answer_within: Duration,
    claims: claims::Handle,
    marks: marks::Handle,
    counters: Arc<LedgerCounters>,
}

impl Ledger {
    /// Starts the ledger for the worker `owner`, an id of this process alone.
    ///
    /// The actors are to be awaited beside the worker.
    pub fn start(pool: PgPool, owner: Uuid, options: LedgerOptions, token: CancellationToken) -> (Self, Actors) {
        let counters = Arc::<LedgerCounters>::default();
        let fences = Fences::default();
        let (claim_handle, claims) =
            Claims::new(Kept::one(pool.clone()), owner, fences.clone(), &options, Arc::clone(&counters));
        let (mark_handle, marks) = Marks::new(Kept::one(pool.clone()), owner, &options, Arc::clone(&counters));
        let actors = Actors { claims: Box::pin(claims.run(token.clone())), marks: Box::pin(marks.run(token)) };
        let answer_within = options.answer_within;
        let ledger = Self { pool, owner, fences, answer_within, claims: claim_handle, marks: mark_handle, counters };
        (ledger, actors)
    }

    /// Claims a task for this worker. A task that this worker holds already is renewed.
    ///
    /// # Errors
    /// [`LedgerDown`] within about twice [`LedgerOptions::answer_within`]. The claim may have been taken all the same: it is
    /// this worker's, and can be claimed again.
    pub async fn claim(&self, id: TaskId) -> Result<Claim, LedgerDown> {
        self.claims.claim(id.as_uuid()).await
    }

    /// The same, unless this address is suppressed; then the task is marked by the same statement.
    ///
    /// # Errors
    /// As [`Ledger::claim`].
    pub async fn claim_unless_suppressed(&self, id: TaskId, address: AddressHashes) -> Result<Claim, LedgerDown> {
        self.claims.claim_for(id.as_uuid(), Some(address)).await
    }

    /// Makes a claim last a whole lease from now, if it is still to be had.
    ///
    /// # Errors
    /// As [`Ledger::claim`].
    pub async fn renew(&self, id: TaskId) -> Result<Claim, LedgerDown> {
        self.claims.claim(id.as_uuid()).await
    }

    /// Records that the mail was accepted. Returns once that is durable, however long the database is away.
    ///
    /// # Errors
    /// [`Cancelled`] when the ledger's token ended first.
    pub async fn mark_sent(&self, id: TaskId) -> Result<(), Cancelled> {
        self.begin_mark(id).await?.done().await
    }

    /// The first half of [`Ledger::mark_sent`]: waits until one of the [`LedgerOptions::mark_batch`] places is free.
    ///
    /// A sending slot that waits for this, and for no more, before it takes the next mail keeps the bound on what a crash
    /// can repeat and still loses no time to the database.
    ///
    /// # Errors
    /// [`Cancelled`] when the ledger's token ended first.
    pub async fn begin_mark(&self, id: TaskId) -> Result<Marking, Cancelled> {
        self.begin_record(Record { mark: Some(id), entry: None, event: None }).await
    }

    /// The same of all that one statement writes.
    pub(crate) async fn begin_record(&self, record: Record) -> Result<Marking, Cancelled> {
        self.marks.begin(record).await
    }

    /// Gives claims back, so that another worker can have them at once. What is sent, or another's, stays as it is; so does
    /// what this worker claims after this call, however late the database hears of it.
    ///
    /// # Errors
    /// [`LedgerDown`]; the claims then run out by themselves.
    pub fn release(&self, ids: &[TaskId]) -> impl Future<Output = Result<(), LedgerDown>> + Send + use<'_> {
        let mut ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
        ids.sort_unstable();
        self.ask(sql::Release { ids, owner: self.owner, fence: self.fences.next() })
    }

    /// Counts that a suspect is about to run alone; returns how often that was begun without a clean end, this one included.
    ///
    /// # Errors
    /// [`LedgerDown`]. The run may have been counted.
    pub async fn begin_lone_run(&self, id: TaskId) -> Result<u16, LedgerDown> {
        self.ask(sql::BeginLoneRun { id: id.as_uuid(), owner: self.owner }).await
    }

    /// The worker lived: the count starts over, and the claim is released, as by [`Ledger::release`]. A claim that was lost
    /// meanwhile stays another's, and so do its runs.
    ///
    /// # Errors
    /// [`LedgerDown`]. The run then counts as one that did not end well.
    pub fn end_lone_run(&self, id: TaskId) -> impl Future<Output = Result<(), LedgerDown>> + Send + use<'_> {
        self.ask(sql::EndLoneRun { id: id.as_uuid(), owner: self.owner, fence: self.fences.next() })
    }

    /// Is the database there, migrated and writable?
    ///
    /// # Errors
    /// [`LedgerDown`] with the reason.
    pub async fn probe(&self) -> Result<(), LedgerDown> {
        self.counters.other_trips.fetch_add(1, Ordering::Relaxed);
        proof::probe(&self.pool, self.answer_within).await.map(drop)
    }

    /// Round trips so far.
    pub fn counts(&self) -> LedgerCounts {
        self.counters.counts()
    }

    async fn ask<S: Statement>(&self, statement: S) -> Result<S::Answer, LedgerDown> {
        self.counters.other_trips.fetch_add(1, Ordering::Relaxed);
        Ok(postgres::ask(&self.pool, &statement, self.answer_within).await?)
    }
}
