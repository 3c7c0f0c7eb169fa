//! A mail server that takes its time: a relay before the inbox that holds back each answer by which a mail is accepted.
//!
//! A low `mail.rate` would make a backlog as well, but its mails would take no time: nothing would be in flight when a worker ends.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::pods;
use crate::sluice::{RELEASE, Sluice};

const NAME: &str = "slow-mail";
/// The inbox's image has node in it.
const IMAGE: &str = "docker.io/maildev/maildev:3.0.0";
const PORT: u16 = 2525;

/// Hands on what comes from either side. The answer to the dot that ends a mail waits.
const RELAY: &str = r#"
const net = require("net"), { INBOX, DELAY_MS } = process.env;
net.createServer((client) => {
  const server = net.connect(1025, INBOX);
  let tail = "", ended = false;
  client.on("data", (bytes) => {
    tail = (tail + bytes.toString("latin1")).slice(-5);
    if (tail === "\r\n.\r\n") ended = true;
    server.write(bytes);
  });
  server.on("data", (bytes) => {
    const wait = ended ? Number(DELAY_MS) : 0;
    ended = false;
    setTimeout(() => client.writable && client.write(bytes), wait);
  });
  for (const [one, other] of [[client, server], [server, client]]) one.on("close", () => other.end()).on("error", () => other.destroy());
}).listen(2525);
"#;

/// A mail server between an installation's workers and its inbox.
pub struct SlowMail;

impl SlowMail {
    /// Values for a release that sends to it.
    pub fn values() -> Value {
        let here = json!({ "podLabels": { pods::OURS: NAME }, "port": PORT });
        json!({
            "smtp": { "host": NAME, "port": PORT, "tls": "none" },
            "networkPolicy": { "external": { "smtp": [here] } },
        })
    }

    /// Starts it in the namespace of an installation.
    pub async fn start(sluice: &Sluice, delay: Duration) {
        let labels = json!({
            pods::OURS: NAME,
            // The inbox takes mails from the release's workers alone: for its policy this is one.
            "app.kubernetes.io/instance": RELEASE,
            "app.kubernetes.io/part-of": "sluice",
            "app.kubernetes.io/component": "email-worker",
        });
        let selector = json!({ pods::OURS: NAME });
        let deployment = json!({ "metadata": { "name": NAME }, "spec": {
            "selector": { "matchLabels": selector },
            "template": { "metadata": { "labels": labels }, "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 1,
                "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": NAME,
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["node", "-e", RELAY],
                    "env": [
                        { "name": "INBOX", "value": format!("{RELEASE}-mailbox") },
                        { "name": "DELAY_MS", "value": delay.as_millis().to_string() },
                    ],
                    "readinessProbe": { "tcpSocket": { "port": PORT }, "periodSeconds": 1 },
                    "resources": { "requests": { "cpu": "20m", "memory": "64Mi" }, "limits": { "memory": "192Mi" } },
                    "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
                }],
            } },
        } });
        let service =
            json!({ "metadata": { "name": NAME }, "spec": { "selector": selector, "ports": [{ "port": PORT }] } });
        let now = PostParams::default();
        sluice.api::<Service>().create(&now, &serde_json::from_value(service).unwrap()).await.expect("a service");
        let deployments = sluice.api::<Deployment>();
        deployments.create(&now, &serde_json::from_value(deployment).unwrap()).await.expect("a deployment");
        sluice.settled(NAME, 1, Duration::from_secs(60)).await;
    }
}
