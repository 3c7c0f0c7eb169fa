//! A receiver of OTLP over HTTP, to read back what a service tells about itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::background::Background;
use crate::port::Port;

mod decode;

pub use decode::{Attributes, Instrument, Kind, Link, LogRecord, Metric, Point, Span};

/// Takes traces, metrics and logs as protobuf over HTTP, on a thread of its own.
#[derive(Debug)]
pub struct OtlpReceiver {
    shared: Arc<Shared>,
    port: Port,
    _thread: Background,
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Received>,
    exports: watch::Sender<u64>,
    down: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    logs: Vec<LogRecord>,
}

impl OtlpReceiver {
    /// Starts one.
    pub async fn start() -> Self {
        let port = Port::free();
        let addr = port.addr();
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        let (listening, listens) = tokio::sync::oneshot::channel();
        let thread = Background::start("otlp-receiver", move || async move {
            let listener = TcpListener::bind(addr).await.unwrap_or_else(|e| panic!("listening on {addr}: {e}"));
            let _ = listening.send(());
            axum::serve(listener, routes(serving)).await.expect("serving OTLP");
        });
        listens.await.expect("the receiver listens: see its panic");
        Self { shared, port, _thread: thread }
    }

    /// What to set `OTEL_EXPORTER_OTLP_ENDPOINT` to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.addr())
    }

    /// Answers 503 to everything from now on, or no longer.
    pub fn set_down(&self, down: bool) {
        self.shared.down.send_replace(down);
    }

    /// The spans that ended, in the order they came.
    pub fn spans(&self) -> Vec<Span> {
        self.shared.received.lock().unwrap().spans.clone()
    }

    /// Every export of every metric, in the order they came: of a cumulative one the last is the newest.
    pub fn metrics(&self) -> Vec<Metric> {
        self.shared.received.lock().unwrap().metrics.clone()
    }

    /// The log records, in the order they came.
    pub fn logs(&self) -> Vec<LogRecord> {
        self.shared.received.lock().unwrap().logs.clone()
    }

    /// Waits until the spans satisfy the predicate and gives them all.
    ///
    /// # Panics
    /// When they do not in time, with the spans that came.
    pub async fn wait_for_spans(&self, enough: impl Fn(&[Span]) -> bool, within: Duration) -> Vec<Span> {
        self.wait(|| Some(self.spans()).filter(|spans| enough(spans)), within).await.unwrap_or_else(|| {
            let spans: Vec<String> = self.spans().iter().map(Span::to_string).collect();
            panic!("the spans waited for did not come within {within:?}; these did:\n{}", spans.join("\n"))
        })
    }

    /// Waits until an export of this metric satisfies the predicate and gives it.
    ///
    /// # Panics
    /// When none does in time, with the exports of it that came.
    pub async fn wait_for_metric(&self, name: &str, enough: impl Fn(&Metric) -> bool, within: Duration) -> Metric {
        let newest = || self.metrics().into_iter().rev().find(|metric| metric.name == name && enough(metric));
        self.wait(newest, within).await.unwrap_or_else(|| {
            let all = self.metrics();
            let same: Vec<&Metric> = all.iter().filter(|metric| metric.name == name).collect();
            panic!("metric {name} was not as expected within {within:?}: {same:#?}")
        })
    }

    async fn wait<T>(&self, found: impl Fn() -> Option<T>, within: Duration) -> Option<T> {
        let mut exports = self.shared.exports.subscribe();
        let waiting = async {
            loop {
                exports.mark_unchanged();
                if let Some(found) = found() {
                    return found;
                }
                exports.changed().await.expect("the receiver lives");
            }
        };
        tokio::time::timeout(within, waiting).await.ok()
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .route("/v1/logs", post(logs))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn traces(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.export(body, |received, request: ExportTraceServiceRequest| received.spans.extend(decode::spans(request)))
}

async fn metrics(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.export(body, |received, request: ExportMetricsServiceRequest| {
        received.metrics.extend(decode::metrics(request));
    })
}

async fn logs(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.export(body, |received, request: ExportLogsServiceRequest| received.logs.extend(decode::logs(request)))
}

impl Shared {
    fn export<R: Message + Default>(&self, body: Bytes, take: impl FnOnce(&mut Received, R)) -> Response {
        if *self.down.borrow() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let Ok(request) = R::decode(body) else { return StatusCode::BAD_REQUEST.into_response() };
        take(&mut self.received.lock().unwrap(), request);
        self.exports.send_modify(|n| *n += 1);
        // An empty message says that all of it was taken.
        ([(header::CONTENT_TYPE, "application/x-protobuf")], Bytes::new()).into_response()
    }
}
