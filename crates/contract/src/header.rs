//! AMQP headers of a task. All numbers are unsigned; what has another type is treated as absent.

/// W3C trace context: the span that published the task first. Kept over retries, so that attempts are siblings.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context, vendors' part.
pub const TRACESTATE: &str = "tracestate";
/// Failures so far; absent before the first.
pub const ATTEMPT: &str = "x-attempt";
/// When the first attempt failed, in Unix seconds.
pub const FIRST_FAILED_AT: &str = "x-first-failed-at";
/// Deliveries that earlier copies of this message had: the broker's own count starts anew with each publish.
pub const DELIVERIES: &str = "x-deliveries";
/// Present: to be run with nothing else in flight.
pub const SUSPECT: &str = "x-suspect";
/// When it was put back from the dead letters, in Unix seconds. Its age counts from then.
pub const REDRIVEN_AT: &str = "x-redriven-at";
/// Why it is a dead letter: a stable slug.
pub const DEAD_REASON: &str = "x-dead-reason";
/// Why it is a dead letter, in one sentence without personal data.
pub const DEAD_DETAIL: &str = "x-dead-detail";
/// Since when it is a dead letter, in Unix seconds.
pub const DEAD_AT: &str = "x-dead-at";
