//! What arrives at a collector.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use opentelemetry::KeyValue;
use platform::telemetry::{self, LogArgs};
use testkit::{Kind, OtlpReceiver};

// One test: logging is set once a process.
#[tokio::test]
async fn a_shutdown_brings_spans_metrics_and_logs_to_the_collector() {
    let collector = OtlpReceiver::start().await;
    let endpoint = collector.endpoint();
    let var = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone().into());
    let log = LogArgs::given(var).unwrap();
    let telemetry = telemetry::init("demo", &log).unwrap();

    let trace_id = tracing::info_span!("GET /things", otel.kind = "server", things = 3).in_scope(|| {
        tracing::info_span!("look", otel.kind = "client").in_scope(|| tracing::warn!(shelf = 7, "nothing there"));
        tracing::debug_span!("too fine").in_scope(|| tracing::debug!("not logged"));
        telemetry::context::current_traceparent().traceparent.unwrap()[3..35].to_owned()
    });
    let meter = opentelemetry::global::meter("demo");
    meter.u64_counter("things").build().add(2, &[KeyValue::new("kind", "small")]);
    meter.f64_histogram("delay").with_unit("s").build().record(7_000.0, &[]);
    assert!(collector.spans().is_empty(), "batches wait: what follows shows the flush");
    telemetry.shutdown().await;

    let wait = Duration::ZERO;
    let spans = collector.wait_for_spans(|spans| spans.len() == 2, wait).await;
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (server, client) = (named("GET /things"), named("look"));
    assert!(client.is_child_of(server) && server.parent.is_none(), "{server:?} {client:?}");
    assert_eq!((server.kind, client.kind), (Kind::Server, Kind::Client));
    assert_eq!((server.trace_id.as_str(), server.service.as_str()), (trace_id.as_str(), "demo"));
    assert_eq!(server.attributes.get("things").map(String::as_str), Some("3"));
    let code = |key: &String| key.starts_with("code.") || key.starts_with("thread.");
    assert!(!server.attributes.keys().any(code), "places in the source only cost: {:?}", server.attributes);

    let things = collector.wait_for_metric("things", |_| true, wait).await;
    assert!((things.value(&[("kind", "small")]) - 2.0).abs() < 1e-9, "{things:?}");
    let delay = collector.wait_for_metric("delay", |_| true, wait).await;
    assert_eq!(delay.points[0].count, 1, "{delay:?}");

    let logs = collector.logs();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!((logs[0].body.as_str(), logs[0].severity.as_str()), ("nothing there", "WARN"));
    assert_eq!((&logs[0].trace_id, &logs[0].span_id), (&client.trace_id, &client.span_id));
}
