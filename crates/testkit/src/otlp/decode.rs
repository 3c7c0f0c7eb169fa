//! Protobuf into what tests read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// Attributes by name; numbers and truth values as text.
pub type Attributes = BTreeMap<String, String>;

/// The role of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// None of the others.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Works on a message.
    Consumer,
}

/// A reference from one span to another that is not its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The other's trace, in hex.
    pub trace_id: String,
    /// The other span, in hex.
    pub span_id: String,
}

/// A span that ended.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its trace, in hex.
    pub trace_id: String,
    /// Itself, in hex.
    pub span_id: String,
    /// Its parent, in hex.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// Its role.
    pub kind: Kind,
    /// Its links.
    pub links: Vec<Link>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Names and attributes of its events.
    pub events: Vec<(String, Attributes)>,
    /// What its status says, if it is an error.
    pub error: Option<String>,
    /// The `service.name` of its resource.
    pub service: String,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
}

impl Span {
    /// Whether it links to this span.
    pub fn links_to(&self, other: &Span) -> bool {
        self.links.iter().any(|link| link.trace_id == other.trace_id && link.span_id == other.span_id)
    }

    /// Whether this span is its parent.
    pub fn is_child_of(&self, other: &Span) -> bool {
        self.trace_id == other.trace_id && self.parent.as_ref() == Some(&other.span_id)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = self.parent.as_deref().unwrap_or("-");
        let (service, name, kind) = (&self.service, &self.name, self.kind);
        write!(f, "{service}: {name} ({kind:?}) trace {} span {} parent {parent}", self.trace_id, self.span_id)
    }
}

/// What a metric measures with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instrument {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One export of one metric.
#[derive(Debug, Clone)]
pub struct Metric {
    /// The `service.name` of its resource.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its instrument.
    pub instrument: Instrument,
    /// A value for each set of attributes.
    pub points: Vec<Point>,
}

/// One value of a metric.
#[derive(Debug, Clone)]
pub struct Point {
    /// What it is the value for.
    pub attributes: Attributes,
    /// The value; of a histogram its sum.
    pub value: f64,
    /// Of a histogram: how many were measured. Else 0.
    pub count: u64,
}

impl Metric {
    /// The sum of the values whose attributes hold all of these.
    pub fn value(&self, attributes: &[(&str, &str)]) -> f64 {
        let fits =
            |point: &&Point| attributes.iter().all(|(k, v)| point.attributes.get(*k).is_some_and(|found| found == v));
        self.points.iter().filter(fits).map(|point| point.value).sum()
    }
}

/// One log record.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// The `service.name` of its resource.
    pub service: String,
    /// Such as `INFO`.
    pub severity: String,
    /// Its text.
    pub body: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// The trace it belongs to, in hex; empty when to none.
    pub trace_id: String,
    /// The span it belongs to, in hex; empty when to none.
    pub span_id: String,
}

pub(crate) fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let service = service(resource.resource.as_ref());
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let kind = match SpanKind::try_from(span.kind) {
                Ok(SpanKind::Server) => Kind::Server,
                Ok(SpanKind::Client) => Kind::Client,
                Ok(SpanKind::Producer) => Kind::Producer,
                Ok(SpanKind::Consumer) => Kind::Consumer,
                _ => Kind::Internal,
            };
            let links = span.links.iter();
            spans.push(Span {
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
                kind,
                links: links.map(|l| Link { trace_id: hex(&l.trace_id), span_id: hex(&l.span_id) }).collect(),
                attributes: attributes(&span.attributes),
                events: span.events.iter().map(|e| (e.name.clone(), attributes(&e.attributes))).collect(),
                error: span.status.filter(|status| status.code == 2).map(|status| status.message),
                service: service.clone(),
                start: time(span.start_time_unix_nano),
                end: time(span.end_time_unix_nano),
                name: span.name,
            });
        }
    }
    spans
}

pub(crate) fn metrics(request: ExportMetricsServiceRequest) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for resource in request.resource_metrics {
        let service = service(resource.resource.as_ref());
        for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let (instrument, points) = match metric.data {
                Some(Data::Gauge(gauge)) => (Instrument::Gauge, gauge.data_points.iter().map(number).collect()),
                Some(Data::Sum(sum)) => {
                    let instrument = if sum.is_monotonic { Instrument::Counter } else { Instrument::Gauge };
                    (instrument, sum.data_points.iter().map(number).collect())
                }
                Some(Data::Histogram(histogram)) => {
                    let points = histogram.data_points.iter();
                    let point = points.map(|p| (attributes(&p.attributes), p.sum.unwrap_or_default(), p.count));
                    let points = point.map(|(attributes, value, count)| Point { attributes, value, count }).collect();
                    (Instrument::Histogram, points)
                }
                // Nothing of ours has another.
                _ => continue,
            };
            metrics.push(Metric { service: service.clone(), name: metric.name, unit: metric.unit, instrument, points });
        }
    }
    metrics
}

pub(crate) fn logs(request: ExportLogsServiceRequest) -> Vec<LogRecord> {
    let mut logs = Vec::new();
    for resource in request.resource_logs {
        let service = service(resource.resource.as_ref());
        for record in resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            logs.push(LogRecord {
                service: service.clone(),
                severity: record.severity_text,
                body: record.body.as_ref().map(text).unwrap_or_default(),
                attributes: attributes(&record.attributes),
                trace_id: hex(&record.trace_id),
                span_id: hex(&record.span_id),
            });
        }
    }
    logs
}

#[allow(clippy::cast_precision_loss, reason = "counts in tests are small")]
fn number(point: &NumberDataPoint) -> Point {
    let value = match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => 0.0,
    };
    Point { attributes: attributes(&point.attributes), value, count: 0 }
}

fn service(resource: Option<&Resource>) -> String {
    let all = resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default();
    all.get("service.name").cloned().unwrap_or_default()
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    pairs.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().map(text).unwrap_or_default())).collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::ArrayValue(array)) => array.values.iter().map(text).collect::<Vec<_>>().join(","),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn time(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}
