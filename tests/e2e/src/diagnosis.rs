//! What to look at when a test has failed: the namespaces are gone soon after.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::Api;
use kube::api::ListParams;

use crate::context::Cluster;
use crate::{namespace, pods};

/// Lines of each pod's log.
const LINES: usize = 12;
/// Events of each namespace, the newest.
const EVENTS: usize = 25;

/// Pods, events and logs of every namespace that a subject of this run has made.
pub(crate) async fn of(cluster: &Cluster) -> String {
    let mut text = String::new();
    let namespaces = Api::<Namespace>::all(cluster.client.clone()).list(&namespace::of_subject(cluster)).await;
    for name in namespaces.into_iter().flatten().filter_map(|namespace| namespace.metadata.name) {
        let _ = writeln!(text, "       -- {name}");
        events(&mut text, Api::namespaced(cluster.client.clone(), &name)).await;
        logs(&mut text, Api::namespaced(cluster.client.clone(), &name)).await;
    }
    text
}

async fn events(text: &mut String, events: Api<Event>) {
    let Ok(listed) = events.list(&ListParams::default()).await else { return };
    let mut events = listed.items;
    events.retain(|event| event.type_.as_deref() != Some("Normal"));
    events.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    for event in events.iter().rev().take(EVENTS).rev() {
        let (object, reason) = (event.involved_object.name.as_deref(), event.reason.as_deref());
        let message = event.message.as_deref().unwrap_or_default();
        let _ = writeln!(text, "       {} {}: {message}", object.unwrap_or_default(), reason.unwrap_or_default());
    }
}

async fn logs(text: &mut String, api: Api<Pod>) {
    for pod in pods::list(&api, "").await {
        let ready = if pods::is_ready(&pod) { "ready" } else { "not ready" };
        let _ = writeln!(text, "       {} {ready}, {} restarts", pods::name(&pod), pods::restarts(&pod));
        let printed = pods::all_logs(&api, &pod).await;
        let lines: Vec<&str> = printed.lines().collect();
        for line in lines.iter().rev().take(LINES).rev() {
            let _ = writeln!(text, "         {}", line.chars().take(300).collect::<String>());
        }
    }
}
