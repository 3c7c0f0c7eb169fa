//! People who scale by hand.

use std::time::Duration;

use e2e::{EMAIL_WORKER, Run, Sluice, check, throughout};
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// Several of KEDA's looks.
const WHILE: Duration = Duration::from_secs(12);
const SOON: Duration = Duration::from_secs(60);

pub(crate) async fn tests(run: &mut Run) {
    let by_hand = json!({ "emailWorker": { "autoscaling": { "enabled": false } } });
    let sluice = Sluice::install(&run.cluster, "scale", by_hand).await;
    check!(run, without_autoscaling_a_count_set_by_hand_holds_over_an_upgrade(&sluice));
    check!(run, with_autoscaling_the_pause_annotation_makes_a_count_set_by_hand_hold(&sluice));
    sluice.remove().await;
}

async fn without_autoscaling_a_count_set_by_hand_holds_over_an_upgrade(sluice: &Sluice) {
    for count in [3, 0, 2] {
        sluice.scale(EMAIL_WORKER, count).await;
        sluice.settled(EMAIL_WORKER, count, SOON).await;
        // Something of the worker changes with it.
        sluice.upgrade(json!({ "mail": { "rate": 100 + count } })).await;
        sluice.settled(EMAIL_WORKER, count, SOON).await;
    }
}

async fn with_autoscaling_the_pause_annotation_makes_a_count_set_by_hand_hold(sluice: &Sluice) {
    sluice.upgrade(json!({ "emailWorker": { "autoscaling": { "enabled": true } } })).await;
    sluice.settled(EMAIL_WORKER, 0, SOON).await;
    annotate(sluice, Some("true")).await;
    sluice.scale(EMAIL_WORKER, 2).await;
    sluice.settled(EMAIL_WORKER, 2, SOON).await;
    sluice.upgrade(json!({ "emailWorker": { "autoscaling": { "enabled": true } }, "mail": { "rate": 99 } })).await;
    throughout("the count that was set by hand", WHILE, async || match sluice.replicas(EMAIL_WORKER).await {
        2 => Ok(()),
        other => Err(format!("{other} replicas")),
    })
    .await;
    annotate(sluice, None).await;
    sluice.settled(EMAIL_WORKER, 0, SOON).await;
}

/// `kubectl annotate scaledobject sluice-email-worker autoscaling.keda.sh/paused=..`
async fn annotate(sluice: &Sluice, paused: Option<&str>) {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "autoscaling.keda.sh/paused": paused } } }));
    let objects = sluice.keda("ScaledObject", "scaledobjects");
    objects.patch(EMAIL_WORKER, &PatchParams::default(), &patch).await.expect("the scaled object is annotated");
}
