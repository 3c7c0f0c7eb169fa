//! The two spans of a mail: `process email_queue` around a delivery, and the conversation with the mail server in it.
//!
//! Attributes follow the messaging conventions of OpenTelemetry. They carry ids, never an address or a name.

use amqp::Delivery;
use contract::{TaskId, queue};
use opentelemetry::trace::TraceContextExt;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::smtp::{Accepted, SendError};

/// The CONSUMER span of a delivery: child of the span that published it, and linked to it.
pub fn process(delivery: &Delivery) -> Span {
    let span = tracing::info_span!(
        "process",
        otel.name = "process email_queue",
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = queue::EMAIL,
        messaging.rabbitmq.destination.routing_key = queue::EMAIL,
        messaging.rabbitmq.message.delivery_tag = delivery.receipt.delivery_tag(),
        messaging.message.id = field::Empty,
        sluice.disposition = field::Empty,
        error.r#type = field::Empty,
    );
    if let Some(id) = delivery.properties.message_id.as_deref() {
        // A foreign id may hold anything; what the ledger knows the task by does not.
        span.record("messaging.message.id", field::display(TaskId::from_message_id(id)));
    }
    let sent = delivery.properties.headers.extract_context();
    let origin = sent.span().span_context().clone();
    if origin.is_valid() {
        span.add_link(origin);
        if let Err(error) = span.set_parent(sent) {
            tracing::debug!(%error, "the trace of a task is not continued");
        }
    }
    span
}

/// The CLIENT span of one conversation with the mail server, from `MAIL` to the answer after the dot.
pub fn smtp(server: &str, port: u16) -> Span {
    tracing::info_span!(
        "smtp",
        otel.name = "SMTP send",
        otel.kind = "client",
        network.protocol.name = "smtp",
        server.address = server,
        server.port = port,
        smtp.response.code = field::Empty,
        otel.status_code = field::Empty,
        error.r#type = field::Empty,
    )
}

/// What the mail server said, on its span.
pub fn record_reply(span: &Span, result: &Result<Accepted, SendError>) {
    let Err(error) = result else {
        span.record("smtp.response.code", 250);
        return;
    };
    if let SendError::Refused { reply, .. } = error {
        span.record("smtp.response.code", reply.code);
    }
    span.record("error.type", error_type(error));
    span.record("otel.status_code", "ERROR");
}

/// A short name for what went wrong, with few different values: `rcpt-refused`, `content-broken`, `unsendable`.
fn error_type(error: &SendError) -> String {
    match error {
        SendError::Refused { stage, .. } => format!("{}-refused", stage.slug()),
        SendError::Broken { stage, .. } => format!("{}-broken", stage.slug()),
        SendError::Unanswered { .. } => "content-unanswered".to_owned(),
        SendError::Unsendable(_) => "unsendable".to_owned(),
    }
}
