//! The relay: brings what waits in an outbox to the broker.
//!
//! It claims rows in a transaction, publishes them with pipelined confirms, deletes what was confirmed, and commits. Dying
//! between the confirm and the commit publishes a message twice, with the same id: the worker's ledger drops a second task.
//! Nothing in here can hold up a registration. The order of its steps is checked in `tests/models/src/relay.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use amqp::topology::TopologyError;
use amqp::{AmqpError, Broker, ConnectionState, Outcome, PublisherConnection};
use platform::backoff::Backoff;
use platform::health::Component;
use platform::postgres::WatchedDatabase;
use platform::tasks::Tasks;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::cursor::Cursor;
use crate::kind::{Kind, Waiting as _};
use crate::metrics::Metrics;
use crate::table::Table;
use crate::tasks::Tasks as MailTasks;
use crate::{backlog, publish, rows};

/// Waits between attempts while the broker or the database is away.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// What a claim may idle beyond the time that the broker has to confirm: a slow commit must not lose it.
const SLACK: Duration = Duration::from_secs(5);
/// Under load, batches begin no sooner after each other: more tasks share the statements and the commit of one. A task that comes
/// alone does not wait.
const GATHER: Duration = Duration::from_millis(10);
/// How long the last batches of a replica that ends may take: the others relay what it leaves, and an outbox that they all
/// fill may never be empty.
const DRAIN: Duration = Duration::from_secs(3);

/// Where the rows are.
#[derive(Debug)]
pub struct Outbox {
    /// The database.
    pub pool: PgPool,
    /// The table there.
    pub table: Table,
    /// Whether it is what it must be: nothing is claimed while it is not.
    pub fit: watch::Receiver<bool>,
    /// Notified after each commit of this process, if it commits any.
    pub committed: Arc<Notify>,
}

/// How a relay works.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Whose messages and metrics they are.
    pub app: &'static str,
    /// Rows published in one go, 1 or more.
    pub batch: u16,
    /// How often the outbox is looked at for what another replica left behind.
    pub poll_interval: Duration,
    /// How long the broker may take to confirm a batch.
    pub confirm_timeout: Duration,
}

/// Takes rows of one kind from their outbox to the broker, for as long as it is awaited.
#[derive(Debug)]
pub struct Relay<K: Kind = MailTasks> {
    kind: K,
    outbox: Outbox,
    broker: Broker,
    options: RelayOptions,
    health: Component,
    metrics: Metrics,
}

/// Why nothing was relayed. The rows are safe in the outbox.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Broker(#[from] AmqpError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("the broker is short of memory or disk and takes nothing")]
    Blocked,
    #[error(
        "of {of} messages the broker did not keep {nacked}, had no queue for {returned}, said nothing to {unanswered}, and \
         {too_large} fit into no frame"
    )]
    NotKept { nacked: usize, returned: usize, unanswered: usize, too_large: usize, of: usize },
    #[error("the outbox: {}", platform::postgres::words(.0))]
    Outbox(#[from] sqlx::Error),
}

impl RelayError {
    /// The broker said nothing to any of the messages, which it may have all the same: each try repeats what was tried.
    fn is_silence(&self) -> bool {
        match self {
            Self::Broker(AmqpError::Timeout { .. }) => true,
            Self::NotKept { unanswered, of, .. } => unanswered == of,
            _ => false,
        }
    }
}

impl Relay {
    /// A relay of tasks between the outbox and the queue at `broker`.
    pub fn new(outbox: Outbox, broker: Broker, options: RelayOptions, health: Component) -> Self {
        Self::of(MailTasks { app: options.app }, outbox, broker, options, health)
    }
}

impl<K: Kind> Relay<K> {
    /// A relay of this kind.
    pub fn of(kind: K, outbox: Outbox, broker: Broker, options: RelayOptions, health: Component) -> Self {
        let metrics = Metrics::new(options.app, &K::NAMES);
        Self { kind, outbox, broker, options, health, metrics }
    }

    /// Starts its task, and one that watches how much waits, until `stop` is cancelled.
    pub fn start(self, database: &WatchedDatabase, tasks: &mut Tasks, stop: &CancellationToken) {
        let backlog = self.backlog(stop.clone());
        tasks.spawn("relay", self.run(stop.clone()));
        tasks.spawn("backlog", database.once_proven(stop.clone(), backlog));
    }

    /// Tells how much waits until `stop` is cancelled. The table must be there.
    pub fn backlog(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<K> {
        let Outbox { pool, table, .. } = &self.outbox;
        backlog::watch(self.options.app, K::NAMES, pool.clone(), table.clone(), stop)
    }

    /// Relays until the token is cancelled, then for a little longer what this replica's last requests have left.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut connection = None;
        let mut cursor = self.cursor();
        let mut silent = false;
        while !stop.is_cancelled() {
            match self.turn(&mut connection, &mut cursor, silent, &stop).await {
                Ok(relayed) => {
                    backoff.reset();
                    let was_all = relayed < usize::from(self.most(silent));
                    silent = false;
                    if was_all {
                        self.rest(&stop).await;
                        if relayed > 1 {
                            let _ = stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "{} wait in the outbox: trying again", K::NAMES.rows);
                    if !matches!(error, RelayError::Outbox(_)) {
                        self.health.down(error.to_string());
                    }
                    silent = error.is_silence();
                    // Some of what was claimed is still there.
                    cursor = self.cursor();
                    if matches!(error, RelayError::Topology(_) | RelayError::NotKept { .. }) {
                        // Where they go is made sure of with the next connection.
                        connection = None;
                    }
                    let _ = stop.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
                }
            }
        }
        if connection.is_some() {
            let end = Instant::now() + DRAIN;
            cursor = self.cursor();
            while self.turn(&mut connection, &mut cursor, silent, &stop).await.is_ok_and(|relayed| relayed > 0)
                && Instant::now() < end
            {}
        }
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor::new(self.options.poll_interval)
    }

    /// Waits for a commit of this replica, or long enough for another one to have died and left something behind.
    async fn rest(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.outbox.committed.notified() => {}
            () = tokio::time::sleep(self.options.poll_interval) => {}
        }
    }

    /// How many rows are claimed at once: one tries a broker that said nothing the last time.
    fn most(&self, silent: bool) -> u16 {
        if silent { 1 } else { self.options.batch }
    }

    /// Relays one batch; returns how many rows. Nothing is claimed unless it can be published.
    async fn turn(
        &self,
        connection: &mut Option<PublisherConnection>,
        cursor: &mut Cursor,
        silent: bool,
        stop: &CancellationToken,
    ) -> Result<usize, RelayError> {
        let connection = match connection.take() {
            Some(open) if open.state() == ConnectionState::Ready => connection.insert(open),
            Some(blocked) if blocked.state() == ConnectionState::Blocked => {
                *connection = Some(blocked);
                return Err(RelayError::Blocked);
            }
            _ => match stop.run_until_cancelled(self.connect()).await {
                Some(connected) => connection.insert(connected?),
                None => return Ok(0),
            },
        };
        if !silent {
            self.health.up();
        }

        if !self.is_fit(stop).await {
            return Ok(0);
        }
        let idle = self.options.confirm_timeout + SLACK;
        let from = cursor.open(Instant::now(), SystemTime::now());
        let Outbox { pool, table, .. } = &self.outbox;
        let (claim, rows) = rows::claim_of::<K>(pool, table, from, self.most(silent), idle).await?;
        let Some(last) = rows.last().map(|row| row.id()) else {
            claim.finish(&[]).await?;
            return Ok(0);
        };
        let outcomes = publish::publish(connection, &self.broker, &self.kind, &self.metrics, &rows).await?;
        let confirmed = rows.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::Confirmed);
        let confirmed: Vec<_> = confirmed.map(|(row, _)| row.id()).collect();
        claim.finish(&confirmed).await?;
        if confirmed.len() < rows.len() {
            let count = |what: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| what(outcome)).count();
            return Err(RelayError::NotKept {
                nacked: count(|outcome| *outcome == Outcome::Nacked),
                returned: count(|outcome| matches!(outcome, Outcome::Returned(_))),
                unanswered: count(|outcome| matches!(outcome, Outcome::Unanswered(_))),
                too_large: count(|outcome| *outcome == Outcome::TooLarge),
                of: rows.len(),
            });
        }
        cursor.move_to(last);
        Ok(confirmed.len())
    }

    /// Waits for it, but not once told to end: then what is known already counts, or nothing would be relayed at the end.
    async fn is_fit(&self, stop: &CancellationToken) -> bool {
        let mut fit = self.outbox.fit.clone();
        let known = *fit.borrow();
        known || matches!(stop.run_until_cancelled(fit.wait_for(|fit| *fit)).await, Some(Ok(_)))
    }

    /// Where they go is made sure of on each connection.
    async fn connect(&self) -> Result<PublisherConnection, RelayError> {
        let connection = self.kind.open(&self.broker, self.options.confirm_timeout).await?;
        tracing::info!(broker = %self.broker.url(), "relaying {} to the broker", K::NAMES.rows);
        Ok(connection)
    }
}
