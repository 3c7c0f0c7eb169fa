//! The request in a trace.

use std::time::Duration;

use sqlx::Row as _;
use testkit::{OtlpReceiver, Service};

use crate::support::{Answer, somebody, variables};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The service, without a broker, which tells this collector; its database is to be kept.
async fn ready(endpoint: String) -> (Service, testkit::Database) {
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &user_api::db::MIGRATOR).await.unwrap();
    let mut vars = variables(database.url());
    vars.push(("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
    let service = Service::spawn("user-api", &vars);
    service.ready().await;
    (service, database)
}

#[tokio::test]
async fn a_trace_state_larger_than_a_frame_does_not_keep_the_task_from_the_queue() {
    let (otlp, vhost, database) = (OtlpReceiver::start().await, testkit::vhost().await, testkit::database().await);
    platform::postgres::migrate(database.pool(), &user_api::db::MIGRATOR).await.unwrap();
    let service = Service::spawn(
        "user-api",
        &[
            ("DATABASE_URL", database.url().to_owned()),
            ("AMQP_URL", vhost.amqp_url().to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.endpoint()),
        ],
    );
    service.ready().await;
    // As many vendors, names and values as the library takes.
    let state: Vec<String> = (0..32).map(|n| format!("v{n:0>255}={}", "x".repeat(256))).collect();
    let request = reqwest::Client::new().post(format!("{}/v1/users", service.base_url())).json(&somebody("ada"));
    let request = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    let answer = Answer::read(request.header("tracestate", state.join(","))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let client = vhost.client().await;
    let task = async || client.take(contract::queue::EMAIL).await;
    let task = testkit::eventually("the task in the queue", Duration::from_secs(20), task).await;
    assert!(task.header("traceparent").is_some_and(|parent| parent.contains(TRACE)), "{:?}", task.header_names());
    assert_eq!(task.header("tracestate"), None, "there is no room for it");
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn the_server_span_continues_the_clients_trace_and_is_what_the_task_remembers() {
    let otlp = OtlpReceiver::start().await;
    let (service, database) = ready(otlp.endpoint()).await;
    let request = reqwest::Client::new().post(format!("{}/v1/users", service.base_url())).json(&somebody("ada"));
    let request =
        request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")).header("tracestate", "vendor=1");
    let answer = Answer::read(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let path = format!("{}/v1/users/ada@example.com", service.base_url());
    Answer::read(reqwest::Client::new().get(path)).await.problem(404);

    let task = sqlx::query("SELECT traceparent, tracestate FROM outbox").fetch_one(database.pool()).await.unwrap();
    let traceparent: String = task.get("traceparent");
    assert_eq!(task.get::<Option<String>, _>("tracestate").as_deref(), Some("vendor=1"));
    assert!(service.terminate().await.success());

    let both = |spans: &[testkit::Span]| spans.iter().filter(|span| span.name.starts_with(['P', 'G'])).count() >= 2;
    let spans = otlp.wait_for_spans(both, Duration::from_secs(10)).await;
    let server = spans.iter().find(|span| span.name == "POST /v1/users").expect("the server span");
    assert_eq!(traceparent, format!("00-{TRACE}-{}-01", server.span_id), "the task remembers the server span");
    assert_eq!(server.trace_id, TRACE);
    assert_eq!(server.parent.as_deref(), Some("b7ad6b7169203331"));
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/users"),
        ("http.response.status_code", "201"),
        ("url.path", "/v1/users"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(server.attributes.get(key).map(ToString::to_string).as_deref(), Some(value), "{key}: {server:?}");
    }
    assert_eq!(server.kind, testkit::Kind::Server);
    let unknown = spans.iter().find(|span| span.name == "GET").expect("the span of a path that nobody serves");
    assert_eq!(unknown.attributes.get("url.path"), None, "an unknown path may be personal");

    let metrics = otlp.metrics();
    let points = |name: &str| {
        let metric =
            metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}: {metrics:?}"));
        metric.points.clone()
    };
    assert!(points("sluice.registrations").iter().any(|point| point.attributes["outcome"] == "created"));
    assert_eq!(points("sluice.hashing.wait").len(), 1);
    let requests = points("http.server.request.duration");
    assert!(requests.iter().any(|point| point.attributes.get("http.route").is_some_and(|route| route == "/v1/users")));

    let told = format!("{spans:?} {metrics:?} {:?} {:?}", otlp.logs(), service.log_lines());
    for personal in ["ada@example.com", "correct horse", "ada\"", "\"ada"] {
        assert!(!told.contains(personal), "{personal} was written down: {told}");
    }
}

#[tokio::test]
async fn what_went_wrong_with_a_request_is_the_error_type_of_its_span_and_of_its_measurement() {
    let otlp = OtlpReceiver::start().await;
    let service = Service::spawn(
        "user-api",
        &[
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:9/nothing".to_owned()),
            ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.endpoint()),
        ],
    );
    service.wait_for_log("started", Duration::from_secs(20)).await;
    let (client, url) = (reqwest::Client::new(), service.base_url());
    let away = Answer::read(client.post(format!("{url}/v1/users")).json(&somebody("ada"))).await;
    assert_eq!(away.problem(503), "database-unavailable");
    assert_eq!(Answer::read(client.get(format!("{url}/nowhere"))).await.problem(404), "not-found");
    assert!(service.terminate().await.success());

    let spans = otlp.wait_for_spans(|spans| spans.len() >= 2, Duration::from_secs(10)).await;
    let error_type = |name: &str| {
        let span = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:?}"));
        span.attributes.get("error.type").map(ToString::to_string)
    };
    assert_eq!(error_type("POST /v1/users").as_deref(), Some("database-unavailable"));
    assert_eq!(error_type("GET"), None, "a client's own error is none of the server's span, as the conventions say");
    let metrics = otlp.metrics();
    let requests = metrics.iter().find(|metric| metric.name == "http.server.request.duration").expect("requests");
    let mut told: Vec<_> = requests.points.iter().map(|point| point.attributes["error.type"].to_string()).collect();
    told.sort();
    assert_eq!(told, ["database-unavailable", "not-found"], "the error.type of http.server.request.duration");
}

#[tokio::test]
async fn an_end_with_a_collector_that_is_away_says_so_and_logs_nothing_to_exporters_that_are_gone() {
    let (service, _database) = ready("http://127.0.0.1:9".to_owned()).await;
    assert!(service.terminate().await.success());
    let lines = service.log_lines();
    let last = lines.iter().position(|line| line.contains("shutting down")).expect("it was told to stop");
    let end = &lines[last..];
    assert!(end.iter().any(|line| line.contains("last telemetry not exported")), "{end:#?}");
    let late: Vec<_> =
        end.iter().filter(|line| line.contains("AfterShutdown") || line.contains("after shutdown")).collect();
    assert!(late.is_empty(), "{late:#?}");
}
