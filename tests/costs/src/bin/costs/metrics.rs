//! What is measured of a mail, without the mail: what it costs that somebody may scrape it.

use std::time::Duration;

use clap::Args;
use email_worker::metrics::Metrics;
use platform::telemetry::LogArgs;

/// How much of it, and for whom.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The value of OTEL_METRICS_EXPORTER
    #[arg(long)]
    exporters: String,
    /// Where OTLP goes; without it that is off
    #[arg(long)]
    endpoint: Option<String>,
    /// Mails
    #[arg(long)]
    mails: u32,
}

pub(crate) async fn run(arguments: Arguments) {
    let var = |name: &str| match name {
        "OTEL_METRICS_EXPORTER" => Some(arguments.exporters.clone().into()),
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" => arguments.endpoint.clone().map(Into::into),
        _ => None,
    };
    let log = LogArgs::given(var).unwrap();
    let telemetry = platform::telemetry::init("costs", &log).unwrap();
    let metrics = Metrics::new();
    for n in 0..arguments.mails {
        let took = Duration::from_micros(u64::from(n % 64) * 500);
        metrics.finished("suppressed", None, took);
        metrics.sent(true, took);
        // The delay, and the wait for a permit by both of its names.
        (0..3).for_each(|_| metrics.accepted_after(took));
    }
    telemetry.shutdown().await;
}
