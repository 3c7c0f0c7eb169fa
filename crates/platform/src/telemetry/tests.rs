#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io;
use std::sync::{Arc, Mutex};

use opentelemetry::trace::TraceContextExt as _;
use serde_json::Value;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::context::{Carrier, current_traceparent, parent_of};
use super::*;
use crate::config::{Refused, given};

/// Variables and their values.
type Set<'a> = &'a [(&'a str, &'a str)];

fn args(vars: Set<'_>) -> Result<LogArgs, Refused> {
    LogArgs::given(given(vars))
}

/// A writer that keeps what is logged.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
    fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err} in {line}"));
        self.text().lines().map(parse).collect()
    }
}

/// Runs `work` with logging as the variables say, and returns what it logged.
fn logged(vars: Set<'_>, work: impl FnOnce()) -> Captured {
    let out = Captured::default();
    let writer = out.clone();
    let (_telemetry, subscriber) = build("demo", &args(vars).unwrap(), move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, work);
    out
}

#[test]
fn a_line_is_one_flat_object_with_stable_keys() {
    let lines = logged(&[], || {
        tracing::info!(count = 3, ratio = 0.5, ok = true, name = "a\"b\n", target = "mine", level = 9, "hello {}", 1);
        tracing::warn!(error = &io::Error::other("no") as &(dyn std::error::Error + 'static), "failed");
        let _span = tracing::info_span!("work").entered();
        tracing::error!("inside");
    })
    .lines();
    let first = &lines[0];
    let time = first["timestamp"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 27, "not RFC 3339 in UTC: {time}");
    let mut rest = first.clone();
    rest.as_object_mut().unwrap().remove("timestamp");
    assert_eq!(
        rest,
        serde_json::json!({"level": "INFO", "target": "platform::telemetry::tests", "message": "hello 1", "count": 3,
            "ratio": 0.5, "ok": true, "name": "a\"b\n", "target_": "mine", "level_": 9})
    );
    assert_eq!((&lines[1]["level"], &lines[1]["error"]), (&"WARN".into(), &"no".into()));
    assert_eq!(lines[2]["trace_id"].as_str().map(str::len), Some(32), "{}", lines[2]);
    assert_eq!(lines[2]["span_id"].as_str().map(str::len), Some(16), "{}", lines[2]);
}

#[test]
fn ids_are_there_and_travel_although_nothing_is_exported() {
    let parent = Carrier {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: Some("vendor=1".to_owned()),
    };
    let lines = logged(&[("LOG_LEVEL", "warn")], || {
        assert_eq!(current_traceparent(), Carrier::default(), "outside of a span");
        let span = tracing::info_span!("request");
        span.set_parent(parent_of(&parent)).unwrap();
        let _entered = span.entered();
        let carrier = current_traceparent();
        let here = carrier.traceparent.clone().unwrap();
        assert!(here.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && here.ends_with("-01"), "{here}");
        assert_eq!(carrier.tracestate.as_deref(), Some("vendor=1"));
        tracing::warn!("inside");

        let alone = tracing::info_span!(parent: None, "alone");
        let root = alone.in_scope(current_traceparent).traceparent.unwrap();
        assert!(!root.contains("0af7651916cd43dd8448eb211c80319c") && root.ends_with("-00"), "{root}");
        let child = alone.in_scope(|| tracing::info_span!("child").in_scope(current_traceparent)).traceparent.unwrap();
        assert_eq!(child[3..35], root[3..35], "one trace");
        assert_ne!(child[36..52], root[36..52], "two spans");
    })
    .lines();
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

#[test]
fn a_carrier_that_makes_no_sense_is_no_parent() {
    for text in ["", "nonsense", "00-0-0-00", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        let carrier = Carrier { traceparent: Some(text.to_owned()), tracestate: None };
        assert!(!parent_of(&carrier).span().span_context().is_valid(), "{text}");
    }
}

#[test]
fn levels_are_info_for_us_and_warn_for_libraries_unless_told_otherwise() {
    let all = || {
        tracing::debug!(target: "amqp", "ours debug");
        tracing::info!(target: "amqp", "ours info");
        tracing::info!(target: "sqlx::query", "library info");
        tracing::warn!(target: "sqlx::query", "library warn");
        tracing::error!(target: "lapin::io_loop", "told by us");
    };
    let table: &[(Set<'_>, &[&str])] = &[
        (&[], &["ours info", "library warn"]),
        (&[("LOG_LEVEL", "debug")], &["ours debug", "ours info", "library warn"]),
        (&[("LOG_LEVEL", "error,sqlx=info")], &["library info", "library warn"]),
        (&[("LOG_LEVEL", "off,lapin=error")], &["told by us"]),
        (&[("LOG_LEVEL", "error"), ("RUST_LOG", "amqp=debug")], &["ours debug", "ours info", "library warn"]),
        (&[("LOG_LEVEL", "off")], &[]),
    ];
    for (vars, messages) in table {
        let lines = logged(vars, all).lines();
        let got: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(got, *messages, "{vars:?}");
    }
}

#[test]
fn what_an_exporter_complains_of_is_logged_once_a_minute() {
    let lines = logged(&[], || {
        for _ in 0..5 {
            tracing::error!(name: "BatchSpanProcessor.ExportError", target: "opentelemetry_sdk", error = "refused");
        }
        tracing::error!(name: "Other", target: "opentelemetry_sdk", "other");
    })
    .lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["message"], "BatchSpanProcessor.ExportError", "without a message, the name");
}

#[test]
fn a_pretty_line_shows_the_same_without_colours_off_a_terminal() {
    let text = logged(&[("LOG_FORMAT", "pretty")], || {
        let _span = tracing::info_span!("work").entered();
        tracing::info!(count = 3, "hello");
    })
    .text();
    assert!(text.contains(" INFO platform::telemetry::tests hello count=3 trace_id="), "{text}");
}

#[test]
fn variables_that_make_no_sense_are_refused() {
    for (name, value) in [
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "collector:4318"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_METRICS_EXPORTER", "console"),
        ("OTEL_METRICS_EXPORTER", "otlp,"),
    ] {
        let Err(Refused::Invalid(line)) = args(&[(name, value)]) else { panic!("{name}={value} was accepted") };
        assert!(line.starts_with(&format!("{name} {value:?} is not valid")), "{line}");
    }
}

#[test]
fn a_signal_goes_to_its_own_endpoint_or_to_the_common_one() {
    use crate::config::log::Signal::{Logs, Metrics, Traces};
    let common = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/x");
    let without = ("OTEL_METRICS_EXPORTER", "prometheus");
    let table: [(Set<'_>, [Option<&str>; 3]); 6] = [
        (&[], [None; 3]),
        (&[common], [Some("http://c:4318/v1/traces"), Some("http://c:4318/v1/metrics"), Some("http://c:4318/v1/logs")]),
        (&[common, own], [Some("http://c:4318/v1/traces"), Some("http://m/x"), Some("http://c:4318/v1/logs")]),
        (&[own], [None, Some("http://m/x"), None]),
        (&[common, own, without], [Some("http://c:4318/v1/traces"), None, Some("http://c:4318/v1/logs")]),
        (&[common, ("OTEL_SDK_DISABLED", "true")], [None; 3]),
    ];
    for (vars, urls) in table {
        let args = args(vars).unwrap();
        assert_eq!([Traces, Metrics, Logs].map(|signal| args.url(signal)), urls.map(|url| url.map(str::to_owned)));
    }
}

#[test]
fn metrics_are_scraped_unless_they_are_not_wanted() {
    let common = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let ways = |ways| ("OTEL_METRICS_EXPORTER", ways);
    let table: [(Set<'_>, (bool, bool)); 9] = [
        (&[], (true, true)),
        (&[common], (true, true)),
        (&[ways("prometheus")], (true, true)),
        (&[ways("otlp")], (false, false)),
        (&[ways("otlp"), common], (true, false)),
        (&[ways("none"), common], (false, false)),
        (&[ways("none,prometheus")], (false, false)),
        (&[ways("otlp,prometheus"), common], (true, true)),
        (&[("OTEL_SDK_DISABLED", "true"), common], (false, false)),
    ];
    for (vars, (measured, scraped)) in table {
        let (provider, scrape) = export::metrics(&args(vars).unwrap(), &export::resource("demo")).unwrap();
        assert_eq!((provider.is_some(), scrape.is_some()), (measured, scraped), "{vars:?}");
    }
}
