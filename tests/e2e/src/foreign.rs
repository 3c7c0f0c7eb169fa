//! Clients in another language: Python with pika, from here over a port-forward.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::broker::VHOST;
use crate::forward::Forward;
use crate::sluice::Sluice;

/// Runs Python as a user of the installation's broker: its arguments are these, and the broker's URL after the first. What it
/// printed, or what it complained of.
pub async fn python(sluice: &Sluice, login: (&str, &str), arguments: &[&str]) -> Result<String, String> {
    let way = Forward::to(sluice.pods.clone(), "app.kubernetes.io/component=rabbitmq", 5672).await;
    let url = format!("amqp://{}:{}@{}/{VHOST}", login.0, login.1, way.address());
    let (script, rest) = arguments.split_first().expect("a script");
    // Debian's python3-pika belongs to Debian's Python, whatever else is on the PATH.
    let mut client = Command::new("/usr/bin/python3");
    client.args(script.strip_prefix("-c ").map_or_else(|| vec![*script], |code| vec!["-c", code]));
    client.arg(url).args(rest).stdin(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(Duration::from_secs(60), client.output()).await.expect("the client ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
