//! An installation into an empty namespace.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::{RELEASE, Run, Sluice, check, pods, register, until};
use serde_json::json;

pub(crate) async fn tests(run: &mut Run) {
    let sluice = Sluice::install(&run.cluster, "install", json!({})).await;
    check!(run, every_pod_is_ready_with_no_restart(&sluice));
    check!(run, helm_test_passes(&sluice));
    check!(run, a_registration_becomes_a_mail(&sluice));
    sluice.remove().await;
}

async fn every_pod_is_ready_with_no_restart(sluice: &Sluice) {
    until("every pod is ready", Duration::from_secs(60), async || {
        let pods = pods::list(&sluice.pods, "").await;
        let unready: Vec<&str> = pods.iter().filter(|pod| !pods::is_ready(pod)).map(pods::name).collect();
        (!pods.is_empty() && unready.is_empty()).then_some(()).ok_or_else(|| format!("{unready:?}"))
    })
    .await;
    let restarted: Vec<(String, i32)> = pods::list(&sluice.pods, "")
        .await
        .iter()
        .map(|pod| (pods::name(pod).to_owned(), pods::restarts(pod)))
        .filter(|(_, restarts)| *restarts > 0)
        .collect();
    assert!(restarted.is_empty(), "nothing has to start twice: {restarted:?}");
}

async fn helm_test_passes(sluice: &Sluice) {
    sluice.helm.test(RELEASE).await.out();
}

async fn a_registration_becomes_a_mail(sluice: &Sluice) {
    register(sluice, "ada", &[]).await;
    let address = BTreeSet::from(["ada@example.com".to_owned()]);
    sluice.inbox().await.has_mail_for(&address, Duration::from_secs(30)).await;
}
