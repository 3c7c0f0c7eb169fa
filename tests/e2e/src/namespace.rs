//! A namespace of one's own, gone afterwards whatever happens.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::context::{Cluster, client, random};
use crate::wait::until;

/// The label that says which run made a namespace.
pub(crate) const LABEL: &str = "sluice-e2e-run";

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
            LABEL: cluster.run,
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        });
        let namespace = json!({ "metadata": { "name": name, "labels": labels } });
        let api: Api<core::Namespace> = Api::all(cluster.client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.expect("a namespace");
        Self { name, cluster: cluster.clone() }
    }

    /// Deletes it and waits until it is gone, with everything in it.
    pub async fn delete(self) {
        let api: Api<core::Namespace> = Api::all(self.cluster.client.clone());
        let _ = api.delete(&self.name, &DeleteParams::background()).await;
        until("the namespace is gone", Duration::from_secs(150), async || match api.get_opt(&self.name).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status.and_then(|status| status.conditions))),
            Err(error) => Err(error.to_string()),
        })
        .await;
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
