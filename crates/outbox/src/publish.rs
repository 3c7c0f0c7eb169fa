//! One batch of tasks, published; each under a PRODUCER span of its own.

use std::time::Instant;

use amqp::{AmqpError, Broker, Headers, Outcome, Outgoing, Properties, PublisherConnection};
use contract::{header, queue};
use platform::telemetry::context::parent_of;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::metrics::Metrics;
use crate::relay::RelayOptions;
use crate::rows::Task;

/// `content_type` of our messages.
const JSON: &str = "application/json";

/// Publishes the tasks; the outcomes are in their order.
///
/// # Errors
/// As [`PublisherConnection::publish`]: nothing is known of any task then.
pub(crate) async fn publish(
    connection: &mut PublisherConnection,
    broker: &Broker,
    options: &RelayOptions,
    metrics: &Metrics,
    tasks: &[Task],
) -> Result<Vec<Outcome>, AmqpError> {
    let began = Instant::now();
    let spans: Vec<Span> = tasks.iter().map(|task| send_span(broker, task)).collect();
    let messages: Vec<Outgoing> =
        tasks.iter().zip(&spans).map(|(task, span)| message(options.app, task, span)).collect();
    let published = connection.publish(&messages).await;
    match &published {
        Ok(outcomes) => {
            for (outcome, span) in outcomes.iter().zip(&spans) {
                record(span, failure(outcome));
            }
            metrics.published(outcomes, began.elapsed());
        }
        Err(_) => {
            spans.iter().for_each(|span| record(span, Some("unconfirmed")));
            metrics.failed(tasks.len(), began.elapsed());
        }
    }
    published
}

/// The PRODUCER span: child of the request that the task came from, however long ago.
fn send_span(broker: &Broker, task: &Task) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "send",
        otel.name = "send email_queue",
        otel.kind = "producer",
        otel.status_code = field::Empty,
        messaging.system = "rabbitmq",
        messaging.operation.name = "send",
        messaging.operation.r#type = "send",
        messaging.destination.name = queue::EMAIL,
        messaging.rabbitmq.destination.routing_key = queue::EMAIL,
        messaging.message.id = %task.id,
        messaging.message.body.size = task.body.len(),
        server.address = broker.url().host(),
        server.port = broker.url().port(),
        error.r#type = field::Empty,
    );
    if let Err(error) = span.set_parent(parent_of(&task.trace)) {
        tracing::debug!(%error, "the trace of a task is not continued");
    }
    span
}

fn message(app: &str, task: &Task, span: &Span) -> Outgoing {
    let mut headers = Headers::default();
    headers.inject_context(&span.context());
    if let Some(moment) = task.expires_at {
        headers.set_u64(header::EXPIRES_AT, moment);
    }
    let properties = Properties {
        message_id: Some(task.id.to_string()),
        kind: Some(task.task_type.clone()),
        timestamp: task.created_at,
        app_id: Some(app.to_owned()),
        content_type: Some(JSON.to_owned()),
        content_encoding: None,
        priority: task.is_urgent.then_some(queue::HIGH_PRIORITY),
        headers,
    };
    Outgoing { queue: queue::EMAIL.to_owned(), body: task.body.clone(), properties }
}

fn failure(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Confirmed => None,
        Outcome::Nacked => Some("nacked"),
        Outcome::Returned(_) => Some("returned"),
        Outcome::TooLarge => Some("too-large"),
        Outcome::Unanswered(_) => Some("unconfirmed"),
    }
}

fn record(span: &Span, failure: Option<&str>) {
    if let Some(failure) = failure {
        span.record("error.type", failure);
        span.record("otel.status_code", "ERROR");
    }
}
