//! Providers and exporters: OTLP over HTTP with protobuf, in batches.

use anyhow::Context as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::{Sampler as Sampling, SdkTracerProvider};

use super::scrape::Scrape;
use crate::config::log::{LogArgs, MetricsExporter, Sampler, Signal};

/// Upper bounds of histograms in seconds: from a round trip on loopback to a mail that the last retry sent.
const SECONDS: [f64; 21] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0,
    14_400.0, 43_200.0, 86_400.0,
];

/// Who is speaking: what the environment says, completed by what we know.
pub(super) fn resource(service: &'static str) -> Resource {
    let found = Resource::builder().build();
    let has = |key: &'static str| found.get(&Key::from_static_str(key));
    let mut missing = Vec::new();
    if has("service.name").is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        missing.push(KeyValue::new("service.name", service));
    }
    if has("service.version").is_none() {
        missing.push(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    }
    if has("service.instance.id").is_none() {
        missing.push(KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()));
    }
    Resource::builder().with_attributes(missing).build()
}

/// Spans. Without an exporter they still get ids, and are recorded only where a caller asked for its trace, so that a
/// trace that passes through here keeps its sampling flag.
pub(super) fn spans(args: &LogArgs, resource: &Resource) -> anyhow::Result<SdkTracerProvider> {
    let provider = SdkTracerProvider::builder().with_resource(resource.clone());
    let Some(url) = args.url(Signal::Traces) else {
        return Ok(provider.with_sampler(Sampling::ParentBased(Box::new(Sampling::AlwaysOff))).build());
    };
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(url);
    let exporter = exporter.build().context("setting up the export of traces over OTLP")?;
    Ok(provider.with_sampler(sampler(args)).with_batch_exporter(exporter).build())
}

/// Metrics, and the way to them for whoever scrapes; none where they go neither way, and instruments cost nothing.
pub(super) fn metrics(
    args: &LogArgs,
    resource: &Resource,
) -> anyhow::Result<(Option<SdkMeterProvider>, Option<Scrape>)> {
    let (url, scraped) = (args.url(Signal::Metrics), args.tells_metrics_by(MetricsExporter::Prometheus));
    if url.is_none() && !scraped {
        return Ok((None, None));
    }
    let mut provider = SdkMeterProvider::builder().with_resource(resource.clone()).with_view(in_seconds);
    if let Some(url) = url {
        let exporter = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(url);
        provider =
            provider.with_periodic_exporter(exporter.build().context("setting up the export of metrics over OTLP")?);
    }
    let mut scrape = None;
    if scraped {
        let (way, exporter) = Scrape::new()?;
        provider = provider.with_reader(exporter);
        scrape = Some(way);
    }
    Ok((Some(provider.build()), scrape))
}

/// Log records; none where they are not exported.
pub(super) fn logs(args: &LogArgs, resource: &Resource) -> anyhow::Result<Option<SdkLoggerProvider>> {
    let Some(url) = args.url(Signal::Logs) else { return Ok(None) };
    let exporter = LogExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(url);
    let exporter = exporter.build().context("setting up the export of logs over OTLP")?;
    Ok(Some(SdkLoggerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build()))
}

fn sampler(args: &LogArgs) -> Sampling {
    let share = Sampling::TraceIdRatioBased(args.otel_traces_sampler_arg);
    match args.otel_traces_sampler {
        Sampler::AlwaysOn => Sampling::AlwaysOn,
        Sampler::AlwaysOff => Sampling::AlwaysOff,
        Sampler::Traceidratio => share,
        Sampler::ParentbasedAlwaysOn => Sampling::ParentBased(Box::new(Sampling::AlwaysOn)),
        Sampler::ParentbasedAlwaysOff => Sampling::ParentBased(Box::new(Sampling::AlwaysOff)),
        Sampler::ParentbasedTraceidratio => Sampling::ParentBased(Box::new(share)),
    }
}

/// The default buckets are made for milliseconds.
fn in_seconds(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram || instrument.unit() != "s" {
        return None;
    }
    let buckets = Aggregation::ExplicitBucketHistogram { boundaries: SECONDS.to_vec(), record_min_max: true };
    Stream::builder().with_aggregation(buckets).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_name_its_version_and_which_one_it_is() {
        let (one, other) = (resource("demo"), resource("demo"));
        let get =
            |resource: &Resource, key: &'static str| resource.get(&Key::from_static_str(key)).map(|v| v.to_string());
        assert_eq!(get(&one, "service.name").as_deref(), Some("demo"));
        assert_eq!(get(&one, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_ne!(get(&one, "service.instance.id"), get(&other, "service.instance.id"));
    }
}
