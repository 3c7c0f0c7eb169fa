//! Alerts and dashboard ask for what there is: the metrics that the services and RabbitMQ tell, under the names that they have
//! in Prometheus, with the labels that they have; the same whether the services push or are scraped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use system::{Load, System};
use testkit::{Instrument, Metric, Script, Service, Stage, eventually};

const PATIENCE: Duration = Duration::from_secs(60);
/// What the collector makes of the resource that the chart gives the services, and the services where they are scraped.
const OF_THE_RESOURCE: &str = "k8s_namespace_name";
const RESOURCE: (&str, &str) = ("OTEL_RESOURCE_ATTRIBUTES", "k8s.namespace.name=sluice,k8s.pod.name=sluice-0");
/// What a scrape has beside it: the collector makes labels of the whole resource.
const OF_THE_PROCESS: [&str; 2] = ["k8s_pod_name", "service_name"];
/// What whoever reads RabbitMQ's metrics adds to them.
const OF_THE_SCRAPE: &str = "namespace";
/// What the names begin with that can be nothing but a metric's or a label's.
const OURS: [&str; 5] = ["sluice_", "messaging_", "http_", "k8s_", "rabbitmq_"];

/// Labels by name of the series.
type Series = BTreeMap<String, BTreeSet<String>>;

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the decision's table says of a metric.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    pub(crate) prometheus: String,
    labels: BTreeSet<String>,
}

pub(crate) fn table() -> Vec<Row> {
    let page = file("docs/decisions/0011-metrics.md");
    let cells = page.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| {
            let quoted = cell.split('`').skip(1).step_by(2);
            quoted.map(str::to_owned).collect::<Vec<_>>()
        });
        let mut next = || cells.next().unwrap_or_else(|| panic!("three columns: {line}"));
        let (mut name, mut prometheus, labels) = (next(), next(), next());
        Row { name: name.remove(0), prometheus: prometheus.remove(0), labels: labels.into_iter().collect() }
    });
    cells.collect()
}

/// The name that the collector's Prometheus exporter gives it.
fn in_prometheus(metric: &Metric) -> String {
    let unit = if metric.unit == "s" { "_seconds" } else { "" };
    let total = if metric.instrument == Instrument::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", metric.name.replace('.', "_"))
}

/// Lets every metric have a value, compares all with the table, and returns what becomes of them in Prometheus.
async fn told_by_services(system: &System) -> Series {
    let api = system.api(&[("HASH_COST", "cheap"), RESOURCE]).await;
    // Some instruments are there only with a rate, or with events.
    let worker = system.worker(&[("MAIL_RATE", "50"), ("MAIL_EVENTS", "on"), RESOURCE]);
    worker.ready().await;
    let answers = Load::new(vec![api.base_url()], "metrics").run(1, 1).await;
    assert_eq!(answers[0].status, Some(201), "somebody is registered");
    system.smtp.wait_for_mails(1, PATIENCE).await;
    system.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "550 5.1.1 nobody of that name").times(1));
    system.publish(1, "metrics-refused").await;
    system.otlp.wait_for_metric("sluice.mail.refusals", |metric| !metric.points.is_empty(), PATIENCE).await;
    system.smtp.stop_listening().await;
    system.publish(1, "metrics-late").await;
    let has_cause = |metric: &Metric| metric.points.iter().any(|point| point.attributes.contains_key("sluice.cause"));
    system.otlp.wait_for_metric("sluice.circuit.open", has_cause, PATIENCE).await;
    system.smtp.listen_again().await;
    system.smtp.wait_for_mails(2, PATIENCE).await;

    let table = table();
    for row in &table {
        let metric = system.otlp.wait_for_metric(&row.name, |metric| !metric.points.is_empty(), PATIENCE).await;
        assert_eq!(in_prometheus(&metric), row.prometheus, "{} in Prometheus", row.name);
    }
    let mut scraped = Series::new();
    for service in [&api, &worker] {
        told_to_a_scrape(service, &mut scraped).await;
        assert!(service.terminate().await.success(), "a service ends well");
    }
    let mut series = Series::new();
    for metric in system.otlp.metrics() {
        let row = table.iter().find(|row| row.name == metric.name);
        let row = row.unwrap_or_else(|| panic!("the table in 0011-metrics.md lacks {}", metric.name));
        let suffixes: &[&str] =
            if metric.instrument == Instrument::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        for suffix in suffixes {
            let labels = series.entry(format!("{}{suffix}", row.prometheus)).or_default();
            labels.insert(OF_THE_RESOURCE.to_owned());
            labels.extend((*suffix == "_bucket").then(|| "le".to_owned()));
            labels.extend(
                metric.points.iter().flat_map(|point| point.attributes.keys()).map(|key| key.replace('.', "_")),
            );
        }
    }
    for row in &table {
        let with_these =
            |(name, has): (&String, &BTreeSet<_>)| name.starts_with(&row.prometheus) && row.labels.is_subset(has);
        assert!(series.iter().any(with_these), "{} has labels that nothing told: {:?}", row.name, row.labels);
    }
    // What had a cause for a moment was pushed then, and is scraped no more.
    let passed = |label: &String| label == "sluice_cause";
    for (name, labels) in &series {
        let same: BTreeSet<String> = labels.iter().filter(|label| !passed(label)).cloned().collect();
        let mut told = scraped.remove(name).unwrap_or_default();
        told.retain(|label| !passed(label) && !OF_THE_PROCESS.contains(&label.as_str()));
        assert_eq!(told, same, "{name} is scraped with the labels that it is pushed with");
    }
    assert!(scraped.is_empty(), "scraped, and never pushed: {scraped:?}");
    series
}

/// What a service tells at /metrics, but for what it tells of itself.
async fn told_to_a_scrape(service: &Service, series: &mut Series) {
    let text = reqwest::get(format!("{}/metrics", service.admin_url())).await.unwrap().text().await.unwrap();
    for (name, mut labels) in text.lines().filter(|line| !line.starts_with('#')).flat_map(selectors) {
        assert!(OF_THE_PROCESS.iter().all(|label| labels.contains(*label)), "{name} has {labels:?}");
        if name != "target_info" {
            series.entry(name).or_default().append(&mut labels);
        }
    }
}

/// What RabbitMQ tells where the chart's PodMonitor looks.
async fn told_by_rabbitmq(system: &System) -> Series {
    let families = |path: &str| {
        let text = file(path);
        let list = text.split_once("family: [").and_then(|(_, rest)| rest.split_once(']'));
        list.unwrap_or_else(|| panic!("{path} names the families")).0.split(", ").collect::<Vec<_>>().join("&family=")
    };
    let asked = families("charts/sluice/templates/monitoring/podmonitor.yaml");
    assert_eq!(asked, families("k8s/observability/prometheus-config.yaml"), "development asks for the same");
    let url = format!("{}/metrics/detailed?family={asked}", system.rabbit.own().metrics_url());
    // Numbers of a queue are there from the second tick on.
    let samples = eventually("RabbitMQ tells of the queue", PATIENCE, async || {
        let text = reqwest::get(&url).await.ok()?.text().await.ok()?;
        text.contains("queue=\"email_queue\"").then_some(text)
    });
    let mut series = Series::new();
    for (name, mut labels) in samples.await.lines().filter(|line| !line.starts_with('#')).flat_map(selectors) {
        labels.insert(OF_THE_SCRAPE.to_owned());
        series.entry(name).or_default().append(&mut labels);
    }
    series
}

/// Every `name{label="..", ..}` in a text.
fn selectors(text: &str) -> Vec<(String, BTreeSet<String>)> {
    // Two braces are a template's.
    let opening = text.match_indices('{').filter(|(at, _)| !text[at + 1..].starts_with('{')).filter_map(|(at, _)| {
        let name = text[..at].rsplit(|c: char| !is_of_name(c)).next().filter(|name| !name.is_empty())?;
        let matchers = text[at + 1..].split_once('}')?.0;
        // Every other piece between quotes is a value.
        let outside = matchers.split('"').step_by(2);
        let labels = outside.map(|piece| piece.trim_matches(|c: char| !is_of_name(c)).to_owned());
        Some((name.to_owned(), labels.filter(|label| !label.is_empty()).collect()))
    });
    opening.collect()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// What is asked for, and not told.
fn wrong(queries: &str, told: &Series) -> Vec<String> {
    let selectors = selectors(queries);
    assert!(selectors.len() > 5, "too few queries to say anything: {selectors:?}");
    let in_selectors = selectors.iter().filter_map(|(name, asked)| match told.get(name) {
        None => Some(format!("no metric {name}")),
        Some(has) if asked.is_subset(has) => None,
        Some(has) => Some(format!("{name} has {has:?}, not all of {asked:?}")),
    });
    let known = |name: &str| told.contains_key(name) || told.values().any(|labels| labels.contains(name));
    let names = queries.split(|c| !is_of_name(c)).filter(|name| OURS.iter().any(|ours| name.starts_with(ours)));
    let anywhere = names.filter(|name| !known(name)).map(|name| format!("neither metric nor label: {name}"));
    let groupings = queries.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let groups = groupings.flat_map(|(labels, _)| labels.split(", ")).filter(|label| !known(label));
    in_selectors.chain(anywhere).chain(groups.map(|label| format!("no label {label}"))).collect()
}

#[test]
fn a_wrong_name_a_wrong_label_and_a_wrong_grouping_are_found() {
    let told: Series = selectors(r#"sluice_a{cause="", le=""} sluice_b{queue="a,b"}"#).into_iter().collect();
    let right = r#"sum by (cause) (sluice_a{cause="x"}) + sluice_a{le=~".+"} - sluice_b{} + sluice_b{queue!="}"} * sluice_b{queue=""} / sluice_b{}"#;
    assert_eq!(wrong(right, &told), Vec::<String>::new());
    for (from, to) in [("sluice_b{}", "sluice_c{}"), ("{cause", "{queue"), ("(cause)", "(causes)")] {
        assert!(!wrong(&right.replace(from, to), &told).is_empty(), "{from} -> {to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_name_what_is_told() {
    let system = System::start_with_own_broker().await;
    let told = told_by_services(&system).await.into_iter().chain(told_by_rabbitmq(&system).await).collect();
    let files = ["charts/sluice/files/alerts.yaml", "charts/sluice/files/dashboard.json"];
    let all = files.map(|path| (path, wrong(&file(path).replace("\\\"", "\""), &told)));
    assert!(all.iter().all(|(_, wrong)| wrong.is_empty()), "asked for, and told by nobody: {all:#?}");
}
