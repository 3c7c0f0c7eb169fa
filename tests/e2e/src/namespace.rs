//! A namespace of one's own, gone afterwards whatever happens.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::context::{Cluster, client, random};

/// The label that says which run made a namespace.
const RUN: &str = "sluice-e2e-run";
/// The label that says for which subject.
const SUBJECT: &str = "sluice-e2e-subject";

/// A namespace that enforces Pod Security `restricted`. Dropped, it is deleted, also by a panic.
pub struct Namespace {
    /// Its name.
    pub name: String,
    cluster: Cluster,
}

impl Namespace {
    /// Makes one; `subject` is for people who look at the cluster meanwhile.
    pub async fn create(cluster: &Cluster, subject: &str) -> Self {
        let name = format!("sluice-e2e-{subject}-{}", random(5));
        let labels = json!({
            RUN: cluster.run,
            SUBJECT: as_label(cluster.subject),
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        });
        let namespace = json!({ "metadata": { "name": name, "labels": labels } });
        let api: Api<core::Namespace> = Api::all(cluster.client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.expect("a namespace");
        Self { name, cluster: cluster.clone() }
    }

    /// Asks for its deletion, with everything in it. Whoever needs it gone waits for [`all_gone`].
    pub async fn delete(self) {
        let api: Api<core::Namespace> = Api::all(self.cluster.client.clone());
        let _ = api.delete(&self.name, &DeleteParams::background()).await;
    }
}

/// The namespaces that a subject of this run has made.
pub(crate) fn of_subject(cluster: &Cluster) -> ListParams {
    ListParams::default().labels(&format!("{RUN}={},{SUBJECT}={}", cluster.run, as_label(cluster.subject)))
}

/// A label's value has no spaces.
fn as_label(subject: &str) -> String {
    subject.replace(' ', "-")
}

/// Waits until every namespace that this run has made is gone.
///
/// # Errors
/// A line that names one that is left, and what keeps it.
pub(crate) async fn all_gone(cluster: &Cluster) -> Result<(), String> {
    let api: Api<core::Namespace> = Api::all(cluster.client.clone());
    let ours = ListParams::default().labels(&format!("{RUN}={}", cluster.run));
    let deadline = Instant::now() + Duration::from_secs(150);
    loop {
        let left = api.list(&ours).await.map_err(|error| format!("listing namespaces: {error}"))?;
        let Some(one) = left.items.into_iter().next() else { return Ok(()) };
        if Instant::now() > deadline {
            let (name, why) = (one.metadata.name, one.status.and_then(|status| status.conditions));
            return Err(format!("the namespace {} is not gone: {why:?}", name.unwrap_or_default()));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

impl Drop for Namespace {
    /// Asks for the deletion, in a thread with a client of its own: the runtime of the test may be going down.
    fn drop(&mut self) {
        let (context, name) = (self.cluster.context.clone(), self.name.clone());
        let deletion = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let Ok(client) = client(&context).await else { return };
                let _ = Api::<core::Namespace>::all(client).delete(&name, &DeleteParams::background()).await;
            });
        });
        let _ = deletion.join();
    }
}
