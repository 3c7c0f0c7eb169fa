//! The variables of telemetry.

use std::ffi::OsString;
use std::str::FromStr as _;

use clap::{Args, Parser, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::values::InvalidValue;
use super::{Refused, try_parse};

/// Logging, and where telemetry goes. The `OTEL_` variables are the standard ones of OpenTelemetry; those that are not
/// listed (such as `OTEL_BSP_*`) are honoured as well.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging and telemetry")]
pub struct LogArgs {
    /// What is logged: error, warn, info, debug, trace or off; also by module, such as info,amqp=debug [default: info]
    #[arg(long, env = "LOG_LEVEL", value_parser = levels)]
    pub log_level: Option<Targets>,
    /// The same, for the habit; wins over LOG_LEVEL
    #[arg(long, env = "RUST_LOG", value_parser = levels)]
    pub rust_log: Option<Targets>,
    /// How a log line looks; auto is pretty on a terminal, json elsewhere
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// OTLP over HTTP (protobuf): http://collector:4318; without it nothing is exported
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = endpoint)]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// The same for traces alone: the whole URL, such as http://collector:4318/v1/traces
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_parser = endpoint)]
    pub otel_exporter_otlp_traces_endpoint: Option<String>,
    /// The same for metrics alone: the whole URL, such as http://collector:4318/v1/metrics
    #[arg(long, env = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", value_parser = endpoint)]
    pub otel_exporter_otlp_metrics_endpoint: Option<String>,
    /// The same for logs alone: the whole URL, such as http://collector:4318/v1/logs
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", value_parser = endpoint)]
    pub otel_exporter_otlp_logs_endpoint: Option<String>,
    /// true: nothing is exported, whatever else is set
    #[arg(long, env = "OTEL_SDK_DISABLED", default_value_t = false, action = clap::ArgAction::Set, ignore_case = true)]
    pub otel_sdk_disabled: bool,
    /// Where metrics go, several with commas: otlp is where the endpoint says, prometheus is /metrics on ADMIN_ADDR
    #[arg(long, env = "OTEL_METRICS_EXPORTER", value_enum, value_delimiter = ',', default_value = "otlp,prometheus")]
    pub otel_metrics_exporter: Vec<MetricsExporter>,
    /// Which traces are exported
    #[arg(long, env = "OTEL_TRACES_SAMPLER", value_enum, default_value_t = Sampler::ParentbasedAlwaysOn)]
    pub otel_traces_sampler: Sampler,
    /// The share of traces that the traceidratio samplers keep, 0.0 to 1.0
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0, value_parser = share)]
    pub otel_traces_sampler_arg: f64,
    /// Attributes of this process, such as k8s.pod.name=..,deployment.environment.name=production
    #[arg(long, env = "OTEL_RESOURCE_ATTRIBUTES")]
    pub otel_resource_attributes: Option<String>,
    /// The name of the service in traces and metrics, instead of its own
    #[arg(long, env = "OTEL_SERVICE_NAME")]
    pub otel_service_name: Option<String>,
    /// Milliseconds between exports of metrics [default: 60000]
    #[arg(long, env = "OTEL_METRIC_EXPORT_INTERVAL", value_parser = clap::value_parser!(u64).range(1..))]
    pub otel_metric_export_interval: Option<u64>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One flat object a line.
    Json,
    /// For eyes.
    Pretty,
}

/// A way that metrics leave by, by the names that OpenTelemetry gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MetricsExporter {
    /// Pushed over OTLP, where an endpoint is set.
    Otlp,
    /// Scraped at `/metrics`.
    Prometheus,
    /// Nothing is measured.
    None,
}

/// Which traces are exported, by the names that OpenTelemetry gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share.
    Traceidratio,
    /// As the caller decided, else all.
    #[default]
    ParentbasedAlwaysOn,
    /// As the caller decided, else none.
    ParentbasedAlwaysOff,
    /// As the caller decided, else a share.
    ParentbasedTraceidratio,
}

/// Where one signal goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// These variables, and no others.
#[derive(Debug, Parser)]
struct Alone {
    #[command(flatten)]
    log: LogArgs,
}

impl LogArgs {
    /// What these variables say, for a program that has no others.
    ///
    /// # Errors
    /// One of them makes no sense.
    pub fn given(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Refused> {
        try_parse::<Alone>(["program"], var).map(|alone| alone.log)
    }

    /// The URL that a signal is posted to; none if it is not exported.
    pub(crate) fn url(&self, signal: Signal) -> Option<String> {
        let by_otlp = match signal {
            Signal::Metrics => self.tells_metrics_by(MetricsExporter::Otlp),
            Signal::Traces | Signal::Logs => !self.otel_sdk_disabled,
        };
        if !by_otlp {
            return None;
        }
        let (own, path) = match signal {
            Signal::Traces => (&self.otel_exporter_otlp_traces_endpoint, "traces"),
            Signal::Metrics => (&self.otel_exporter_otlp_metrics_endpoint, "metrics"),
            Signal::Logs => (&self.otel_exporter_otlp_logs_endpoint, "logs"),
        };
        let base = self.otel_exporter_otlp_endpoint.as_ref();
        own.clone().or_else(|| base.map(|base| format!("{}/v1/{path}", base.trim_end_matches('/'))))
    }

    /// Do metrics leave this way?
    pub(crate) fn tells_metrics_by(&self, way: MetricsExporter) -> bool {
        let asked = &self.otel_metrics_exporter;
        !self.otel_sdk_disabled && asked.contains(&way) && !asked.contains(&MetricsExporter::None)
    }

    /// What is logged: `info`, our libraries only from `warn` on, unless told otherwise. That of AMQP says nothing: what it takes for
    /// an error is told by those who called it, or is an answer that they asked for.
    pub(crate) fn levels(&self) -> Targets {
        let asked = self.rust_log.as_ref().or(self.log_level.as_ref());
        let default = asked.and_then(Targets::default_level).unwrap_or(LevelFilter::INFO);
        let noisy = ["sqlx", "hyper", "reqwest", "opentelemetry", "tower", "h2", "rustls"];
        Targets::new()
            .with_default(default)
            .with_targets(noisy.map(|target| (target, default.min(LevelFilter::WARN))))
            .with_target("lapin", LevelFilter::OFF)
            .with_targets(
                asked.into_iter().flat_map(|asked| asked.iter().map(|(target, level)| (target.to_owned(), level))),
            )
    }
}

fn levels(text: &str) -> Result<Targets, InvalidValue> {
    // A bare word would be taken for a module, and a level that is misspelt would log next to nothing.
    let word = text.split(',').map(str::trim).find(|part| !part.contains('=') && LevelFilter::from_str(part).is_err());
    if let Some(word) = word {
        return Err(InvalidValue(format!("{word:?} is neither a level nor module=level")));
    }
    Targets::from_str(text).map_err(|err| InvalidValue(err.to_string()))
}

fn endpoint(text: &str) -> Result<String, InvalidValue> {
    let host = text.strip_prefix("http://").unwrap_or_default();
    if host.is_empty() || host.starts_with(['/', ':']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        // A collector stands beside the service; TLS would bring a second crypto library along.
        return Err(InvalidValue("must be an http:// URL (https:// is not built in)".to_owned()));
    }
    Ok(text.to_owned())
}

fn share(text: &str) -> Result<f64, InvalidValue> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| InvalidValue("must be a number from 0.0 to 1.0".to_owned()))
}
