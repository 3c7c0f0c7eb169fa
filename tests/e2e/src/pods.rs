//! Pods: found, run, read, entered.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, DeleteParams, ListParams, LogParams, PostParams};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::wait::until;

/// A small system with bash, for pods that try things.
pub const SHELL_IMAGE: &str = "docker.io/library/debian:13";

/// The label of pods that the suite starts itself, beside those of a release.
pub const OURS: &str = "sluice-e2e";

/// Those with these labels that are not on their way out; none where the API does not answer.
pub async fn list(pods: &Api<Pod>, labels: &str) -> Vec<Pod> {
    let listed = pods.list(&ListParams::default().labels(labels)).await;
    let pods = listed.map(|list| list.items).unwrap_or_default();
    pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
}

/// Whether its condition `Ready` is true.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// Its name.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// How often its containers were started again.
pub fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let inits = status.and_then(|status| status.init_container_statuses.as_ref());
    containers.into_iter().chain(inits).flatten().map(|container| container.restart_count).sum()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Starts a pod that runs a bash script once, as a namespace with Pod Security `restricted` allows it.
pub async fn run_script(pods: &Api<Pod>, name: &str, labels: &Value, script: &str, environment: &[(&str, &str)]) {
    let environment: Vec<Value> =
        environment.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let pod = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "script",
                "image": SHELL_IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": ["bash", "-c", script],
                "env": environment,
                "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
                "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
            }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.expect("a pod for a script");
}

/// Waits until the pod's script has ended, and returns what it printed.
pub async fn finished(pods: &Api<Pod>, name: &str, within: Duration) -> String {
    until(&format!("the script of {name} ends"), within, async || {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        match phase(&pod) {
            "Succeeded" | "Failed" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    logs(pods, name).await
}

/// What its first container has printed so far.
pub async fn logs(pods: &Api<Pod>, name: &str) -> String {
    pods.logs(name, &LogParams::default()).await.unwrap_or_default()
}

/// Everything that a pod has printed: all containers, also before their last restart.
pub async fn all_logs(pods: &Api<Pod>, pod: &Pod) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let mut printed = String::new();
    for container in spec.init_containers.unwrap_or_default().into_iter().chain(spec.containers) {
        for previous in [true, false] {
            let which = LogParams { container: Some(container.name.clone()), previous, ..LogParams::default() };
            printed += &pods.logs(name(pod), &which).await.unwrap_or_default();
        }
    }
    printed
}

/// Kills a pod without giving it time to end: `kubectl delete --grace-period=0 --force`.
pub async fn kill(pods: &Api<Pod>, name: &str) {
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete(name, &now).await.unwrap_or_else(|error| panic!("killing {name}: {error}"));
}

/// Deletes a pod as `kubectl delete` does.
pub async fn delete(pods: &Api<Pod>, name: &str) {
    pods.delete(name, &DeleteParams::default()).await.unwrap_or_else(|error| panic!("deleting {name}: {error}"));
}

/// Runs a command in a container: what it printed, or what it complained of.
pub async fn exec(pods: &Api<Pod>, name: &str, container: &str, command: &[&str]) -> Result<String, String> {
    let streams = AttachParams::default().container(container).stdout(true).stderr(true);
    let attached = pods.exec(name, command.iter().copied(), &streams).await;
    let mut process = attached.map_err(|error| format!("{command:?} in {name}: {error}"))?;
    let (mut out, mut err) = (process.stdout().unwrap(), process.stderr().unwrap());
    let (mut printed, mut complained) = (String::new(), String::new());
    let _ = tokio::join!(out.read_to_string(&mut printed), err.read_to_string(&mut complained));
    let status = process.take_status().unwrap().await;
    match status.and_then(|status| status.status).as_deref() {
        Some("Success") => Ok(printed),
        _ => Err(format!("{} in {name}: {printed}{complained}", command.first().unwrap_or(&""))),
    }
}
