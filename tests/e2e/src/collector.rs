//! A real OpenTelemetry collector beside the system: the spans that reached it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::pods;
use crate::sluice::Sluice;
use crate::wait::until;

const IMAGE: &str = "docker.io/otel/opentelemetry-collector:0.155.0";
const NAME: &str = "collector";
/// Where OTLP over HTTP is taken.
const PORT: u16 = 4318;

/// Takes everything, and prints each span.
const CONFIG: &str = "
receivers: {otlp: {protocols: {http: {endpoint: 0.0.0.0:4318}}}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
";

/// A collector in an installation's namespace.
pub struct Collector {
    pods: Api<Pod>,
}

/// A span as the collector received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// Which trace it belongs to.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of its parent; empty for none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// The service that made it.
    pub service: String,
}

impl Collector {
    /// Starts one, and waits until it takes spans.
    pub async fn start(sluice: &Sluice) -> Self {
        let labels = json!({ pods::OURS: NAME });
        let metadata = json!({ "name": NAME, "labels": labels });
        let config = json!({ "metadata": metadata, "data": { "config.yaml": CONFIG } });
        let service = json!({ "metadata": metadata, "spec": { "selector": labels, "ports": [{ "port": PORT }] } });
        let deployment = json!({ "metadata": metadata, "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": {
                "automountServiceAccountToken": false,
                "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": NAME,
                    "image": IMAGE,
                    "args": ["--config", "/etc/collector/config.yaml"],
                    "ports": [{ "containerPort": PORT }],
                    "readinessProbe": { "tcpSocket": { "port": PORT }, "periodSeconds": 1 },
                    "resources": { "requests": { "cpu": "10m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } },
                    "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
                    "volumeMounts": [{ "name": "config", "mountPath": "/etc/collector", "readOnly": true }],
                }],
                "volumes": [{ "name": "config", "configMap": { "name": NAME } }],
            } },
        } });
        let now = PostParams::default();
        sluice.api::<ConfigMap>().create(&now, &serde_json::from_value(config).unwrap()).await.expect("a config map");
        sluice.api::<Service>().create(&now, &serde_json::from_value(service).unwrap()).await.expect("a service");
        sluice
            .api::<Deployment>()
            .create(&now, &serde_json::from_value(deployment).unwrap())
            .await
            .expect("a deployment");
        sluice.settled(NAME, 1, Duration::from_secs(60)).await;
        Self { pods: sluice.pods.clone() }
    }

    /// Values for a release in the same namespace that sends to it.
    pub fn values() -> Value {
        let here = json!({ "podLabels": { pods::OURS: NAME }, "port": PORT });
        json!({
            "telemetry": { "otlpEndpoint": format!("http://{NAME}:{PORT}") },
            "networkPolicy": { "external": { "otlp": [here] } },
        })
    }

    /// Spans of a trace that have arrived.
    pub async fn spans(&self, trace: &str) -> Vec<Span> {
        let mut printed = String::new();
        for pod in pods::list(&self.pods, &format!("{}={NAME}", pods::OURS)).await {
            printed += &pods::logs(&self.pods, pods::name(&pod)).await;
        }
        spans(&printed).into_iter().filter(|span| span.trace == trace).collect()
    }

    /// Waits until so many spans of a trace have arrived.
    pub async fn has_spans(&self, trace: &str, count: usize, within: Duration) -> Vec<Span> {
        until(&format!("{count} spans of the trace arrive"), within, async || {
            let spans = self.spans(trace).await;
            if spans.len() >= count { Ok(spans) } else { Err(format!("{spans:?}")) }
        })
        .await
    }
}

/// Reads what the debug exporter prints: the resource before its spans, each span's fields as `Name : value`.
fn spans(printed: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut service = String::new();
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    // One line more, to end the last span.
    for line in printed.lines().chain(["Span #"]).map(str::trim) {
        if line.starts_with("Span #") || line.starts_with("ResourceSpans #") {
            if let Some(trace) = fields.get("Trace ID") {
                let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
                let (id, parent, name) = (field("ID"), field("Parent ID"), field("Name"));
                spans.push(Span { trace: (*trace).to_owned(), id, parent, name, service: service.clone() });
            }
            fields.clear();
        } else if let Some(name) = line.strip_prefix("-> service.name: Str(") {
            service = name.trim_end_matches(')').to_owned();
        } else if let Some((name, value)) = line.split_once(" : ").or_else(|| line.split_once(": ")) {
            fields.entry(name.trim()).or_insert(value.trim());
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_from_what_the_debug_exporter_prints() {
        let printed = "
ResourceSpans #0
Resource attributes:
     -> service.name: Str(user-api)
ScopeSpans #0
InstrumentationScope user-api 
Span #0
    Trace ID       : 0af7
    Parent ID      : 
    ID             : b7ad
    Name           : POST /v1/users
    Kind           : Server
Attributes:
     -> http.route: Str(/v1/users)
Span #1
    Trace ID       : 0af7
    Parent ID      : b7ad
    ID             : c8be
    Name           : send email_queue
";
        let span = |id: &str, parent: &str, name: &str| Span {
            trace: "0af7".into(),
            id: id.into(),
            parent: parent.into(),
            name: name.into(),
            service: "user-api".into(),
        };
        assert_eq!(spans(printed), [span("b7ad", "", "POST /v1/users"), span("c8be", "b7ad", "send email_queue")]);
    }
}
