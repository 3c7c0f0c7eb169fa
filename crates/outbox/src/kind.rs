//! What waits in a table, and what it becomes at the broker. A relay is of one kind.

use std::fmt::Debug;
use std::time::Duration;

use amqp::topology::TopologyError;
use amqp::{Broker, Headers, Outgoing, PublisherConnection};
use platform::telemetry::context::Carrier;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// Rows of a table, relayed to one destination.
pub trait Kind: Debug + Send + Sync + 'static {
    /// One of them, as it was read.
    type Row: Waiting;

    /// The columns that it is read from, in SQL. The table has two more that are everybody's: `id`, a UUIDv7, by which rows are ordered,
    /// and `created_at`.
    const COLUMNS: &'static str;
    /// What it is called.
    const NAMES: Names;
    /// Whether each message has a PRODUCER span of its own. Without one, which costs less, the message carries the trace that its row
    /// came from.
    const HAS_SPANS: bool;

    /// Reads a row with these columns.
    ///
    /// # Errors
    /// It has others.
    fn read(row: &PgRow) -> sqlx::Result<Self::Row>;

    /// Connects, and makes sure that there is something to publish to: nobody else might declare it.
    fn open(
        &self,
        broker: &Broker,
        timeout: Duration,
    ) -> impl Future<Output = Result<PublisherConnection, TopologyError>> + Send;

    /// The message. `headers` have the trace context of its publishing, or of what it came from.
    fn message(&self, row: &Self::Row, headers: Headers) -> Outgoing;
}

/// What a relay has to know of a row.
pub trait Waiting: Debug + Send + Sync {
    /// Its place in the table.
    fn id(&self) -> Uuid;
    /// What the message is known by.
    fn message_id(&self) -> Uuid;
    /// The trace that it came from.
    fn trace(&self) -> &Carrier;
    /// The routing key.
    fn routing_key(&self) -> &str;
    /// The body's bytes.
    fn size(&self) -> usize;
}

/// What rows of a kind are called in logs, spans and metrics.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Queue or exchange.
    pub destination: &'static str,
    /// The rows, in a line of the log.
    pub rows: &'static str,
    /// The counter of messages by outcome, and what it is.
    pub messages: (&'static str, &'static str),
    /// The gauge of what waits, and what it is.
    pub depth: (&'static str, &'static str),
    /// The gauge of the age of the oldest, and what it is.
    pub oldest: (&'static str, &'static str),
}
