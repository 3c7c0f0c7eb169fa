//! AMQP headers of a task. All numbers are unsigned; what has another type is treated as absent.

/// W3C trace context: the span that published the task first. Kept over retries, so that attempts are siblings.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context, vendors' part.
pub const TRACESTATE: &str = "tracestate";
/// When the mail is of no use any more, in Unix seconds: it is not sent after that. Absent: never.
pub const EXPIRES_AT: &str = "x-expires-at";
/// Attempts so far, each of which failed, the last one of a dead letter included; absent before the first.
pub const ATTEMPT: &str = "x-attempt";
/// When the first attempt failed, in Unix seconds.
pub const FIRST_FAILED_AT: &str = "x-first-failed-at";
/// How often the content was handed over whole and no answer came; absent before the first time.
pub const UNKNOWN_OUTCOMES: &str = "x-unknown-outcomes";
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
/// How many headers were left out, since there was no room for them or they could not be read.
pub const HEADERS_LEFT_OUT: &str = "x-headers-left-out";
/// How long the body was before it was cut, in bytes.
pub const BODY_CUT_FROM: &str = "x-body-cut-from";

/// All of them: what is kept of a message where there is no room for everything.
pub const ALL: [&str; 14] = [
    TRACEPARENT,
    TRACESTATE,
    EXPIRES_AT,
    ATTEMPT,
    FIRST_FAILED_AT,
    UNKNOWN_OUTCOMES,
    DELIVERIES,
    SUSPECT,
    REDRIVEN_AT,
    DEAD_REASON,
    DEAD_DETAIL,
    DEAD_AT,
    HEADERS_LEFT_OUT,
    BODY_CUT_FROM,
];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_header_is_among_all_of_them() {
        let source = include_str!("header.rs");
        let names = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""));
        let names: Vec<_> = names.filter_map(|(_, value)| value.strip_suffix("\";")).collect();
        assert_eq!(names, ALL);
    }
}
