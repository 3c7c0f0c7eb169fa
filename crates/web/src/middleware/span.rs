//! A server span and a measurement for every request, by the semantic conventions for HTTP.
//!
//! Neither the client's address nor a path that nobody serves is written down: both can be personal.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use platform::telemetry::context::{Carrier, parent_of};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::problem::Problem;

/// How long requests take. Clones are the same instrument; without an exporter it does nothing.
#[derive(Debug, Clone)]
pub struct Requests(Histogram<f64>);

impl Requests {
    /// Those of this service, after telemetry has been set up: an instrument made before stays silent.
    pub fn of(service: &'static str) -> Self {
        let meter = global::meter(service);
        let duration = meter.f64_histogram("http.server.request.duration");
        Self(duration.with_description("Duration of HTTP server requests.").with_unit("s").build())
    }
}

/// Opens the span, as a child of what `traceparent` names, and measures.
pub async fn layer(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let span = open(method, route, request.headers());

    let response = next.run(request).instrument(span.clone()).await;

    let status = response.status();
    let problem = response.extensions().get::<Problem>().map(|problem| problem.kind().slug());
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", problem.unwrap_or("internal-error"));
    }
    let mut attributes = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
    ];
    attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
    attributes.extend(problem.map(|slug| KeyValue::new("error.type", slug)));
    requests.0.record(started.elapsed().as_secs_f64(), &attributes);
    response
}

fn open(method: &'static str, route: Option<&str>, headers: &HeaderMap) -> Span {
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let span = tracing::info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        // Where there are no parameters, path and route are the same.
        url.path = route.filter(|route| !route.contains('{')),
        url.scheme = "http",
        http.response.status_code = Empty,
        error.r#type = Empty,
        request.id = Empty,
    );
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let carrier = Carrier { traceparent: text("traceparent"), tracestate: text("tracestate") };
    if carrier.traceparent.is_some() {
        // Fails for a span that nobody listens to, which needs no parent.
        let _ = span.set_parent(parent_of(&carrier));
    }
    span
}

/// Any method that is not of the standard is one: a client could invent as many as it likes.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "CONNECT" => "CONNECT",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "PATCH" => "PATCH",
        "QUERY" => "QUERY",
        _ => "_OTHER",
    }
}
