//! How pods ended: their last words, which are gone with them a moment later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use tokio::task::JoinHandle;

use crate::pods;

/// Watches pods, and keeps the exit code of each container that ends.
#[derive(Debug)]
pub struct Endings {
    codes: Arc<Mutex<BTreeMap<String, i32>>>,
    watching: JoinHandle<()>,
}

impl Endings {
    /// Watches the pods with these labels from now on.
    pub fn of(pods: Api<Pod>, labels: &str) -> Self {
        let codes = Arc::<Mutex<BTreeMap<String, i32>>>::default();
        let (seen, which) = (Arc::clone(&codes), WatchParams::default().labels(labels));
        let watching = tokio::spawn(async move {
            // A watch ends now and then; the next one begins with all that is there.
            loop {
                let Ok(stream) = pods.watch(&which, "0").await else { return };
                let mut events = stream.boxed();
                while let Ok(Some(event)) = events.try_next().await {
                    if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod) = event {
                        note(&seen, &pod);
                    }
                }
            }
        });
        Self { codes, watching }
    }

    /// The last exit code of each pod that ended, by its name.
    pub fn codes(&self) -> BTreeMap<String, i32> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Endings {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn note(codes: &Mutex<BTreeMap<String, i32>>, pod: &Pod) {
    let status = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    for container in status.into_iter().flatten() {
        if let Some(ended) = container.state.as_ref().and_then(|state| state.terminated.as_ref()) {
            codes.lock().unwrap_or_else(PoisonError::into_inner).insert(pods::name(pod).to_owned(), ended.exit_code);
        }
    }
}
