//! A mail server that takes its time: an inbox behind a relay that holds each answer back that accepts a mail.
//!
//! A low `mail.rate` would make a backlog as well, but its mails would take no time: nothing would be in flight when a worker ends.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::sluice::Sluice;

const NAME: &str = "slow-mailbox";
const IMAGE: &str = "docker.io/maildev/maildev:3.0.0";
const SMTP: u16 = 2525;

/// Hands on what comes from either side. The answer to the dot that ends a mail waits.
const RELAY: &str = r#"
const net = require("net"), delay = Number(process.env.DELAY_MS);
net.createServer((client) => {
  const server = net.connect(1025, "127.0.0.1");
  let tail = "", ended = false;
  client.on("data", (bytes) => {
    tail = (tail + bytes.toString("latin1")).slice(-5);
    if (tail === "\r\n.\r\n") ended = true;
    server.write(bytes);
  });
  server.on("data", (bytes) => {
    const wait = ended ? delay : 0;
    ended = false;
    setTimeout(() => client.writable && client.write(bytes), wait);
  });
  for (const [one, other] of [[client, server], [server, client]]) one.on("close", () => other.end()).on("error", () => other.destroy());
}).listen(2525);
"#;

/// Values for a release that sends to it.
pub fn slow_mailbox_values() -> Value {
    json!({
        "mailbox": { "enabled": false },
        "smtp": { "host": NAME, "port": SMTP, "tls": "none" },
        "networkPolicy": { "external": { "smtp": [{ "cidr": "0.0.0.0/0", "port": SMTP }] } },
    })
}

/// Starts it in the namespace of an installation to come.
pub async fn start_slow_mailbox(sluice: &Sluice, delay: Duration) {
    // The inbox is found as that of the chart is; the chart's policies are for its own.
    let labels = json!({ "app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "mailbox" });
    let container = |name: &str, more: Value| {
        let mut container = json!({
            "name": name,
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "resources": { "requests": { "cpu": "20m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
        });
        container.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        container
    };
    let relay = json!({
        "command": ["node", "-e", RELAY],
        "env": [{ "name": "DELAY_MS", "value": delay.as_millis().to_string() }],
        "readinessProbe": { "tcpSocket": { "port": SMTP }, "periodSeconds": 1 },
    });
    let inbox = json!({ "readinessProbe": { "tcpSocket": { "port": 1080 }, "periodSeconds": 1 } });
    let deployment = json!({ "metadata": { "name": NAME, "labels": labels }, "spec": {
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": {
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container("inbox", inbox), container("relay", relay)],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        } },
    } });
    let service = json!({ "metadata": { "name": NAME }, "spec": { "selector": labels, "ports": [{ "port": SMTP }] } });
    let now = PostParams::default();
    sluice.api::<Service>().create(&now, &serde_json::from_value(service).unwrap()).await.expect("a service");
    sluice.api::<Deployment>().create(&now, &serde_json::from_value(deployment).unwrap()).await.expect("a deployment");
    sluice.settled(NAME, 1, Duration::from_secs(60)).await;
}
