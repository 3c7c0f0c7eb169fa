//! A Prometheus beside a whole Sluice, and what it says of it.
#![allow(clippy::print_stdout, reason = "how long each alert took, for whoever reads a failure")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use system::System;
use testkit::{Alert, Prometheus, Service, eventually};

use super::rules::{hurried, names};
use crate::metrics::file;

/// For an alert to fire, or to resolve: windows, the broker's own interval and two evaluations are less than half of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The release that alerts.yaml is written for.
const NAMESPACE: &str = "sluice";
/// What the chart tells the services of themselves where a PodMonitor is wanted.
pub(super) const OF_THE_CHART: [(&str, &str); 2] = [
    ("OTEL_RESOURCE_ATTRIBUTES", "k8s.namespace.name=sluice,k8s.pod.name=sluice-0"),
    ("OTEL_METRICS_EXPORTER", "prometheus"),
];

pub(super) struct Stage {
    pub(super) system: System,
    pub(super) prometheus: Prometheus,
    rules: String,
    // Alerts that fired, and those of them that resolved.
    fired: Mutex<BTreeSet<String>>,
    resolved: Mutex<BTreeSet<String>>,
}

impl Stage {
    /// A system in which nothing runs but the servers, RabbitMQ scraped as the chart's PodMonitor does.
    pub(super) async fn set() -> Self {
        let system = System::start_with_own_broker().await;
        let rules = file("charts/sluice/files/alerts.yaml");
        let prometheus = Prometheus::start(&[&hurried(&rules)]).await;
        let families = "family=queue_coarse_metrics&family=queue_consumer_count";
        let url = format!("{}/metrics/detailed?{families}", system.rabbit.own().metrics_url());
        prometheus.watch(&url, &[("namespace", NAMESPACE)]);
        Self { system, prometheus, rules, fired: Mutex::default(), resolved: Mutex::default() }
    }

    /// Has a service scraped, as the chart's PodMonitor does.
    pub(super) fn scrape(&self, service: &Service) {
        self.prometheus.watch(&metrics_of(service), &[("namespace", NAMESPACE)]);
    }

    /// Waits until it was.
    pub(super) async fn is_scraped(&self, service: &Service) {
        self.prometheus.has_scraped(&metrics_of(service)).await;
    }

    /// Waits until this alert fires.
    pub(super) async fn fires(&self, name: &str) -> Alert {
        let began = Instant::now();
        let alert = self.prometheus.firing(name, PATIENCE).await;
        println!("{name} fires after {:.1} s", began.elapsed().as_secs_f64());
        self.check(&alert);
        self.fired.lock().unwrap().insert(name.to_owned());
        alert
    }

    /// Waits until it no longer does.
    pub(super) async fn resolves(&self, name: &str) {
        let began = Instant::now();
        eventually(&format!("{name} resolves"), PATIENCE, async || {
            (self.firing_at_once(name).await == 0).then_some(())
        })
        .await;
        println!("{name} resolves after {:.1} s", began.elapsed().as_secs_f64());
        assert!(self.fired.lock().unwrap().contains(name), "{name} fired before");
        self.resolved.lock().unwrap().insert(name.to_owned());
    }

    /// How many of this name fire.
    pub(super) async fn firing_at_once(&self, name: &str) -> usize {
        self.prometheus.alerts().await.into_iter().filter(|alert| alert.name == name && alert.firing).count()
    }

    /// What somebody reads at night is a sentence, of the right release.
    fn check(&self, alert: &Alert) {
        assert_eq!(alert.labels.get("namespace").map(String::as_str), Some(NAMESPACE), "{alert:?}");
        for part in ["summary", "description", "runbook_url"] {
            let text = alert.annotations.get(part).map(String::as_str).unwrap_or_default();
            let whole = !text.is_empty() && !text.contains("no value") && !text.contains("%!") && !text.contains("{{");
            assert!(whole, "{}'s {part}: {text:?}", alert.name);
        }
        assert!(self.rules.contains(&alert.annotations["runbook_url"]), "{alert:?}");
    }

    /// Nothing was left out, every rule could be evaluated, and Prometheus took every sample that it was given.
    pub(super) async fn all_alerts_were_seen(&self) {
        let all: BTreeSet<String> = names(&self.rules).into_iter().map(str::to_owned).collect();
        assert_eq!(*self.fired.lock().unwrap(), all, "each has fired");
        assert_eq!(*self.resolved.lock().unwrap(), all, "and resolved");
        assert_eq!(self.prometheus.rules_in_trouble().await, [], "each can be evaluated");
        assert_eq!(self.prometheus.log(), "", "it complains of nothing");
    }

    /// Every query of the dashboard gave numbers since the start; those of the tiles, which show one number, give it now.
    pub(super) async fn no_panel_is_empty(&self) {
        let dashboard: Value = serde_json::from_str(&file("charts/sluice/files/dashboard.json")).expect("JSON");
        let variable = dashboard["templating"]["list"][1]["query"].as_str().expect("the query of the namespaces");
        let (metric, label) = variable
            .trim_start_matches("label_values(")
            .trim_end_matches(')')
            .split_once(", ")
            .expect("a metric and a label");
        let namespaces = self.prometheus.query_since_start(metric).await;
        assert!(namespaces.iter().all(|series| series.labels[label] == NAMESPACE), "{namespaces:?}");
        let panels = dashboard["panels"].as_array().expect("panels");
        let mut empty = Vec::new();
        for panel in panels {
            for target in panel["targets"].as_array().expect("targets") {
                let query = target["expr"].as_str().expect("a query").replace("$namespace", NAMESPACE);
                let answered = match panel["type"].as_str() {
                    Some("stat") => self.prometheus.query(&query).await,
                    _ => self.prometheus.query_since_start(&query).await,
                };
                let legend = target["legendFormat"].as_str().expect("a legend");
                if let Some(label) = legend.strip_prefix("{{").and_then(|legend| legend.strip_suffix("}}")) {
                    assert!(answered.iter().any(|series| series.labels.contains_key(label)), "{query}: no {label}");
                }
                if answered.is_empty() {
                    empty.push((panel["title"].clone(), query));
                }
            }
        }
        assert!(panels.len() > 15 && empty.is_empty(), "of {} panels, empty are: {empty:#?}", panels.len());
    }
}

pub(super) fn metrics_of(service: &Service) -> String {
    format!("{}/metrics", service.admin_url())
}
