//! Logs on stdout; traces, metrics and logs over OTLP where an endpoint is set; metrics for whoever scrapes the admin server.
//!
//! Trace ids exist and travel whether anything is exported or not, so that a log line and an outbox row can always name
//! their trace. Nothing here knows personal data; callers keep it out of fields and attributes.

pub mod context;
mod export;
pub(crate) mod exposition;
mod filter;
mod format;
pub(crate) mod scrape;

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::filter::FilterExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

pub use crate::config::log::{LogArgs, LogFormat, MetricsExporter, Sampler};

use filter::{Gate, Throttle};
use scrape::Scrape;

/// How long a shutdown waits for the last exports.
const FLUSH: Duration = Duration::from_secs(5);

/// What has to be flushed before the process ends.
#[derive(Debug)]
#[must_use = "what is still in memory is lost without a shutdown"]
pub struct Telemetry {
    spans: SdkTracerProvider,
    metrics: Option<SdkMeterProvider>,
    scrape: Option<Scrape>,
    logs: Option<SdkLoggerProvider>,
    exporting: Gate,
}

/// Sets logging, tracing, metrics and the W3C propagator for the process: once, before anything is logged.
pub fn init(service: &'static str, args: &LogArgs) -> anyhow::Result<Telemetry> {
    let (telemetry, subscriber) = build(service, args, std::io::stdout)?;
    subscriber.try_init().context("setting up logging: something else did so before")?;
    if let Some(metrics) = &telemetry.metrics {
        opentelemetry::global::set_meter_provider(metrics.clone());
    }
    if let Some(scrape) = &telemetry.scrape {
        scrape.install();
    }
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    std::panic::set_hook(Box::new(log_panic));
    Ok(telemetry)
}

/// A panic is a log line like any other. Its text stays out: that of a slice, for one, repeats the data.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(at, thread = thread.name().unwrap_or_default(), "panicked");
}

/// Everything but the globals.
fn build<W>(
    service: &'static str,
    args: &LogArgs,
    writer: W,
) -> anyhow::Result<(Telemetry, impl Subscriber + Send + Sync + use<W>)>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let wanted = args.levels();
    let resource = export::resource(service);
    let (metrics, scrape) = export::metrics(args, &resource)?;
    let telemetry = Telemetry {
        spans: export::spans(args, &resource)?,
        metrics,
        scrape,
        logs: export::logs(args, &resource)?,
        exporting: Gate::default(),
    };
    let pretty = match args.log_format {
        LogFormat::Auto => std::io::stdout().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer()
        .event_format(format::Line { pretty, colours: pretty && std::io::stdout().is_terminal() })
        .with_writer(writer)
        // A line needs nothing of its spans but their ids: what they carry is not written down twice.
        .with_filter(wanted.clone().and(filter::events()).and(Throttle::default()));
    let spans = tracing_opentelemetry::layer()
        .with_tracer(telemetry.spans.tracer(service))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(filter::own_spans());
    let logs = telemetry.logs.as_ref().map(|logs| {
        // What the exporters log is never exported: it would feed on itself.
        OpenTelemetryTracingBridge::new(logs)
            .with_filter(wanted.and(filter::not_of_exporters()).and(telemetry.exporting.clone()))
    });
    Ok((telemetry, tracing_subscriber::registry().with(spans).with(lines).with(logs)))
}

impl Telemetry {
    /// Exports what is still in memory, for at most 5 s. Spans that are still open are lost.
    pub async fn shutdown(self) {
        let Self { spans, metrics, logs, exporting, .. } = self;
        // What is said from here on is for the log alone.
        exporting.close();
        // Threads of their own: the exporters block, and the runtime would wait for a blocking task that hangs.
        let mut done = Vec::new();
        let mut flush =
            |what: &'static str, work: Box<dyn FnOnce() -> opentelemetry_sdk::error::OTelSdkResult + Send>| {
                let (tell, told) = tokio::sync::oneshot::channel();
                let thread = std::thread::Builder::new().name(format!("flush-{what}"));
                if thread.spawn(move || tell.send(work())).is_ok() {
                    done.push((what, told));
                }
            };
        flush("traces", Box::new(move || spans.shutdown_with_timeout(FLUSH)));
        if let Some(metrics) = metrics {
            flush("metrics", Box::new(move || metrics.shutdown_with_timeout(FLUSH)));
        }
        if let Some(logs) = logs {
            flush("logs", Box::new(move || logs.shutdown_with_timeout(FLUSH)));
        }
        let deadline = tokio::time::Instant::now() + FLUSH;
        for (what, told) in done {
            match tokio::time::timeout_at(deadline, told).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(signal = what, %error, "last telemetry not exported"),
                Ok(Err(_)) | Err(_) => tracing::warn!(signal = what, "last telemetry not exported within {FLUSH:?}"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
