//! Metrics for whoever asks for them: collected when they do, and not before.

use std::collections::HashSet;
use std::sync::OnceLock;

use anyhow::Context as _;
use opentelemetry::Key;
use opentelemetry_prometheus::PrometheusExporter;
use prometheus::Registry;

use super::exposition::Format;

/// What tells series of one Prometheus apart, beside its own labels. The rest of the resource is in `target_info`.
const LABELS: [&str; 3] = ["service.name", "k8s.namespace.name", "k8s.pod.name"];
/// The process's own, once telemetry is set up; none where metrics are not to be scraped.
static OF_THE_PROCESS: OnceLock<Scrape> = OnceLock::new();

/// A way to all metrics of a meter provider. Clones are one way.
#[derive(Debug, Clone)]
pub(crate) struct Scrape(Registry);

impl Scrape {
    /// A way, and the reader that a meter provider is to have for it.
    pub(crate) fn new() -> anyhow::Result<(Self, PrometheusExporter)> {
        let registry = Registry::new();
        let labels: HashSet<Key> = LABELS.into_iter().map(Key::from_static_str).collect();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .with_resource_selector(labels)
            // A name of ours is one metric, whoever counts it.
            .scope_info_enabled(false)
            .build()
            .context("setting up the metrics that are scraped")?;
        Ok((Self(registry), exporter))
    }

    /// That of the process.
    pub(crate) fn of_the_process() -> Option<Self> {
        OF_THE_PROCESS.get().cloned()
    }

    /// Makes it that of the process, for admin servers that are bound from here on.
    pub(super) fn install(&self) {
        // Telemetry is set up once.
        let _ = OF_THE_PROCESS.set(self.clone());
    }

    /// Everything as it is now.
    pub(crate) fn text(&self, format: Format) -> String {
        format.write(&self.0.gather())
    }
}
