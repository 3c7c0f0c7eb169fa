//! One batch of messages, published; each under a PRODUCER span of its own, where its kind has them.

use std::time::Instant;

use amqp::{AmqpError, Broker, Headers, Outcome, Outgoing, PublisherConnection};
use contract::header;
use platform::telemetry::context::{Carrier, parent_of};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::kind::{Kind, Waiting};
use crate::metrics::Metrics;

/// Publishes the rows; the outcomes are in their order.
///
/// # Errors
/// As [`PublisherConnection::publish`]: nothing is known of any of them then.
pub(crate) async fn publish<K: Kind>(
    connection: &mut PublisherConnection,
    broker: &Broker,
    kind: &K,
    metrics: &Metrics,
    rows: &[K::Row],
) -> Result<Vec<Outcome>, AmqpError> {
    let began = Instant::now();
    let span = |row| if K::HAS_SPANS { send_span::<K>(broker, row) } else { Span::none() };
    let spans: Vec<Span> = rows.iter().map(span).collect();
    let traced = |row: &K::Row, span: &Span| if K::HAS_SPANS { within(span) } else { from(row.trace()) };
    let messages: Vec<Outgoing> =
        rows.iter().zip(&spans).map(|(row, span)| kind.message(row, traced(row, span))).collect();
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
            metrics.failed(rows.len(), began.elapsed());
        }
    }
    published
}

/// The PRODUCER span: child of what the row came from, however long ago.
fn send_span<K: Kind>(broker: &Broker, row: &K::Row) -> Span {
    let destination = K::NAMES.destination;
    let span = tracing::info_span!(
        parent: None,
        "send",
        otel.name = format!("send {destination}"),
        otel.kind = "producer",
        otel.status_code = field::Empty,
        messaging.system = "rabbitmq",
        messaging.operation.name = "send",
        messaging.operation.r#type = "send",
        messaging.destination.name = destination,
        messaging.rabbitmq.destination.routing_key = row.routing_key(),
        messaging.message.id = %row.message_id(),
        messaging.message.body.size = row.size(),
        server.address = broker.url().host(),
        server.port = broker.url().port(),
        error.r#type = field::Empty,
    );
    if let Err(error) = span.set_parent(parent_of(row.trace())) {
        tracing::debug!(%error, "the trace of what is relayed is not continued");
    }
    span
}

/// Headers with the span's context.
fn within(span: &Span) -> Headers {
    let mut headers = Headers::default();
    headers.inject_context(&span.context());
    headers
}

/// Headers with the trace as it was written.
fn from(trace: &Carrier) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in [(header::TRACEPARENT, &trace.traceparent), (header::TRACESTATE, &trace.tracestate)] {
        if let Some(value) = value {
            headers.set_str(name, value);
        }
    }
    headers
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
