//! A real OpenTelemetry collector beside the system: the spans that reached it.

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

/// The one configuration of the repository; spans go to the pod's log, each batch a line of OTLP's JSON.
const CONFIG: &str = include_str!("../../../k8s/observability/collector.yaml");

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
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{ "containerPort": PORT }],
                    "readinessProbe": { "tcpSocket": { "port": PORT }, "periodSeconds": 1 },
                    "resources": { "requests": { "cpu": "10m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } },
                    "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
                    "volumeMounts": [{ "name": "config", "mountPath": "/etc/otelcol", "readOnly": true }],
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

/// Reads the lines that are OTLP's JSON; the collector's own are between them.
fn spans(printed: &str) -> Vec<Span> {
    let batches = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    batches
        .flat_map(|batch| {
            items(&batch["resourceSpans"]).flat_map(|resource| of_resource(&resource)).collect::<Vec<_>>()
        })
        .collect()
}

fn of_resource(resource: &Value) -> Vec<Span> {
    let named = items(&resource["resource"]["attributes"]).find(|attribute| attribute["key"] == "service.name");
    let service = named.map(|attribute| text(&attribute["value"]["stringValue"])).unwrap_or_default();
    let span = |span: Value| Span {
        trace: text(&span["traceId"]),
        id: text(&span["spanId"]),
        parent: text(&span["parentSpanId"]),
        name: text(&span["name"]),
        service: service.clone(),
    };
    items(&resource["scopeSpans"]).flat_map(|scope| items(&scope["spans"]).collect::<Vec<_>>()).map(span).collect()
}

fn items(list: &Value) -> impl Iterator<Item = Value> + use<> {
    list.as_array().cloned().unwrap_or_default().into_iter()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_from_between_the_collectors_own_lines() {
        let batch = json!({ "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "user-api" } }] },
            "scopeSpans": [{ "spans": [{ "traceId": "0af7", "spanId": "b7ad", "name": "POST /v1/users", "kind": 2 }] }],
        }] });
        let printed = format!("2026-01-01T00:00:00Z info started\n{batch}\n");
        let span = Span {
            trace: "0af7".into(),
            id: "b7ad".into(),
            parent: String::new(),
            name: "POST /v1/users".into(),
            service: "user-api".into(),
        };
        assert_eq!(spans(&printed), [span]);
    }
}
