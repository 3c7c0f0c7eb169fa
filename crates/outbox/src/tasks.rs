//! Tasks: what an application asks for, on its way to the main queue. The columns are a public contract (`docs/outbox.md`).

use std::time::Duration;

use amqp::topology::{self, TopologyError};
use amqp::{Broker, Headers, Outgoing, Properties, PublisherConnection};
use contract::{header, queue};
use platform::telemetry::context::Carrier;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::kind::{Kind, Names, Waiting};

/// `content_type` of our messages.
const JSON: &str = "application/json";
/// `priority` of a task that goes before others.
const HIGH: &str = "high";

/// Tasks of this application.
#[derive(Debug, Clone, Copy)]
pub struct Tasks {
    /// `app_id` of their messages.
    pub app: &'static str,
}

/// A task that waits to be published.
#[derive(Debug)]
pub struct Task {
    /// The message id.
    pub id: Uuid,
    /// What the body is.
    pub task_type: String,
    /// The body of the message.
    pub body: Vec<u8>,
    /// The trace of the request that it came from.
    pub trace: Carrier,
    /// When it was committed, in Unix seconds; `None` where that makes no sense.
    pub created_at: Option<u64>,
    /// When its mail is of no use any more, in Unix seconds.
    pub expires_at: Option<u64>,
    /// Whether it goes before others.
    pub is_urgent: bool,
}

impl Waiting for Task {
    fn id(&self) -> Uuid {
        self.id
    }

    fn message_id(&self) -> Uuid {
        self.id
    }

    fn trace(&self) -> &Carrier {
        &self.trace
    }

    fn routing_key(&self) -> &str {
        queue::EMAIL
    }

    fn size(&self) -> usize {
        self.body.len()
    }
}

impl Kind for Tasks {
    type Row = Task;

    // Moments are read as seconds: a foreign table may hold some that no type of ours does. (`date_part` is `extract` without the slow
    // arithmetic of `numeric`.)
    const COLUMNS: &'static str = "id, task_type, body, traceparent, tracestate, priority,
         CASE WHEN isfinite(created_at) THEN floor(date_part('epoch', created_at))::int8 END AS created,
         CASE WHEN isfinite(expires_at) THEN floor(date_part('epoch', expires_at))::int8 END AS expires";
    const NAMES: Names = Names {
        destination: queue::EMAIL,
        rows: "tasks",
        messages: (
            "sluice.relay.messages",
            "Tasks handed to the broker, by outcome: published, nacked, returned, unconfirmed.",
        ),
        depth: ("sluice.outbox.depth", "Tasks that wait in the outbox, of all replicas; counted up to 100,000."),
        oldest: ("sluice.outbox.oldest.age", "Age of the oldest task in the outbox."),
    };

    const HAS_SPANS: bool = true;

    fn read(row: &PgRow) -> sqlx::Result<Task> {
        let moment = |name| row.try_get::<Option<i64>, _>(name);
        Ok(Task {
            id: row.try_get("id")?,
            task_type: row.try_get("task_type")?,
            body: row.try_get("body")?,
            trace: Carrier { traceparent: row.try_get("traceparent")?, tracestate: row.try_get("tracestate")? },
            created_at: moment("created")?.and_then(|at| u64::try_from(at).ok()),
            // What was over before 1970 is over.
            expires_at: moment("expires")?.map(|at| u64::try_from(at).unwrap_or(0)),
            is_urgent: row.try_get::<&str, _>("priority")? == HIGH,
        })
    }

    /// With no worker up, nobody else would declare the queue.
    async fn open(&self, broker: &Broker, timeout: Duration) -> Result<PublisherConnection, TopologyError> {
        PublisherConnection::open(broker, &[topology::main()], timeout).await
    }

    fn message(&self, task: &Task, mut headers: Headers) -> Outgoing {
        if let Some(moment) = task.expires_at {
            headers.set_u64(header::EXPIRES_AT, moment);
        }
        let properties = Properties {
            message_id: Some(task.id.to_string()),
            kind: Some(task.task_type.clone()),
            timestamp: task.created_at,
            app_id: Some(self.app.to_owned()),
            content_type: Some(JSON.to_owned()),
            content_encoding: None,
            priority: task.is_urgent.then_some(queue::HIGH_PRIORITY),
            headers,
        };
        Outgoing { queue: queue::EMAIL.to_owned(), body: task.body.clone(), properties }
    }
}
