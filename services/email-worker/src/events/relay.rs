//! From the table to the exchange: CloudEvents 1.0 in the binary mode of their AMQP binding
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md>), whose application properties are
//! the headers of AMQP 0.9.1.

use std::sync::Arc;
use std::time::Duration;

use amqp::topology::TopologyError;
use amqp::{Broker, Headers, Outgoing, Properties, PublisherConnection};
use contract::event;
use outbox::{Kind, Names, Outbox, Relay, RelayOptions, Table, Waiting};
use platform::health::Component;
use platform::telemetry::context::Carrier;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::EventSource;

const APP: &str = "email-worker";
/// How often the table is looked at for what other workers left in it.
const POLL: Duration = Duration::from_secs(1);
/// Events published in one go.
const BATCH: u16 = 500;
/// How long the broker may take to confirm them.
const CONFIRM: Duration = Duration::from_secs(10);

/// Starts relaying: one future relays until the first token is cancelled, and then what this worker has left; the other one tells how
/// much waits until the second is. `written` rings when there is something to relay.
pub(crate) fn start(
    pool: PgPool,
    broker: Broker,
    source: EventSource,
    written: Arc<Notify>,
    health: Component,
    (stop, background): (CancellationToken, CancellationToken),
) -> (impl Future<Output = ()> + Send, impl Future<Output = ()> + Send) {
    super::lost(0);
    // A worker proves its database before it begins.
    let (_, fit) = watch::channel(true);
    let outbox = Outbox { pool: pool.clone(), table: Table::named("mail_events"), fit, committed: written };
    let options = RelayOptions { app: APP, batch: BATCH, poll_interval: POLL, confirm_timeout: CONFIRM };
    let relay = Relay::of(MailEvents { source }, outbox, broker, options, health);
    let backlog = relay.backlog(background);
    let relaying = async move {
        relay.run(stop).await;
        pool.close().await;
    };
    (relaying, backlog)
}

/// Events of one source.
#[derive(Debug)]
struct MailEvents {
    source: EventSource,
}

#[derive(Debug)]
struct Row {
    id: Uuid,
    event_id: Uuid,
    mail_id: Uuid,
    event_type: String,
    body: Vec<u8>,
    trace: Carrier,
    /// In microseconds since 1970.
    at: i64,
}

impl Waiting for Row {
    fn id(&self) -> Uuid {
        self.id
    }

    fn message_id(&self) -> Uuid {
        self.event_id
    }

    fn trace(&self) -> &Carrier {
        &self.trace
    }

    fn routing_key(&self) -> &str {
        &self.event_type
    }

    fn size(&self) -> usize {
        self.body.len()
    }
}

impl Kind for MailEvents {
    type Row = Row;

    const COLUMNS: &'static str = "id, event_id, mail_id, event_type, body, traceparent, tracestate,
         floor(date_part('epoch', created_at) * 1000000)::int8 AS at";
    const NAMES: Names = Names {
        destination: event::EXCHANGE,
        rows: "events",
        messages: (
            "sluice.events.messages",
            "Events handed to the broker, by outcome: published, nacked, unconfirmed.",
        ),
        depth: ("sluice.events.waiting", "Events that wait for the broker, of all workers; counted up to 100,000."),
        oldest: ("sluice.events.oldest.age", "Age of the oldest event that waits for the broker."),
    };

    const HAS_SPANS: bool = false;

    fn read(row: &PgRow) -> sqlx::Result<Row> {
        Ok(Row {
            id: row.try_get("id")?,
            event_id: row.try_get("event_id")?,
            mail_id: row.try_get("mail_id")?,
            event_type: row.try_get("event_type")?,
            body: row.try_get("body")?,
            trace: Carrier { traceparent: row.try_get("traceparent")?, tracestate: row.try_get("tracestate")? },
            at: row.try_get("at")?,
        })
    }

    async fn open(&self, broker: &Broker, timeout: Duration) -> Result<PublisherConnection, TopologyError> {
        PublisherConnection::open_to(broker, event::EXCHANGE, timeout).await
    }

    fn message(&self, row: &Row, mut headers: Headers) -> Outgoing {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(row.at) * 1_000);
        let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (id, mail, time) = (row.event_id.to_string(), row.mail_id.to_string(), at.format(&Rfc3339).ok());
        for (attribute, value) in [
            ("cloudEvents:specversion", Some("1.0")),
            ("cloudEvents:id", Some(&*id)),
            ("cloudEvents:type", Some(&*row.event_type)),
            ("cloudEvents:source", Some(self.source.as_str())),
            ("cloudEvents:subject", Some(&*mail)),
            ("cloudEvents:time", time.as_deref()),
            // The run that it tells of, as in the headers that instrumented clients look for.
            ("cloudEvents:traceparent", row.trace.traceparent.as_deref()),
            ("cloudEvents:tracestate", row.trace.tracestate.as_deref()),
        ] {
            if let Some(value) = value {
                headers.set_str(attribute, value);
            }
        }
        let properties = Properties {
            message_id: Some(id),
            kind: Some(row.event_type.clone()),
            timestamp: u64::try_from(at.unix_timestamp()).ok(),
            app_id: Some(APP.to_owned()),
            content_type: Some("application/json".to_owned()),
            content_encoding: None,
            priority: None,
            headers,
        };
        Outgoing { queue: row.event_type.clone(), body: row.body.clone(), properties }
    }
}
