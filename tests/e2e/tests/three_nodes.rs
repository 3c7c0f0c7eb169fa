//! A broker of three nodes.

use std::time::{Duration, Instant};

use e2e::{Load, RELEASE, Run, Sluice, check, until};
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::json;

const BROKER: &str = "sluice-rabbitmq";
/// Longer than this without a mail, and the queue was away: a node that leaves takes fractions of a second.
const GAP: Duration = Duration::from_secs(15);

pub(crate) async fn tests(run: &mut Run) {
    let worker = json!({ "autoscaling": { "enabled": false } });
    let sluice = Sluice::install(&run.cluster, "nodes", json!({ "emailWorker": worker })).await;
    check!(run, one_node_becomes_three_and_the_queue_grows_onto_them(&sluice));
    check!(run, a_rolling_restart_under_load_leaves_the_queue_there_and_loses_nothing(&sluice));
    check!(run, three_nodes_do_not_become_one(&sluice));
    sluice.remove().await;
}

async fn one_node_becomes_three_and_the_queue_grows_onto_them(sluice: &Sluice) {
    let load = Load::until_ended(sluice, "growth", 2, "0.2").await;
    load.answered(20, Duration::from_secs(60)).await;
    sluice.upgrade(json!({ "rabbitmq": { "replicas": 3 } })).await;
    sluice.stateful_set_ready(BROKER, 3, Duration::from_secs(240)).await;
    let broker = sluice.broker("keda").await;
    until("the queue has three members", Duration::from_secs(120), async || {
        let queue = broker.queue(contract::queue::EMAIL).await?;
        let members = queue["members"].as_array().map_or(0, Vec::len);
        if members == 3 { Ok(()) } else { Err(format!("{members} members")) }
    })
    .await;
    load.end().await;
    sluice.everyone_is_mailed_once().await;
}

async fn a_rolling_restart_under_load_leaves_the_queue_there_and_loses_nothing(sluice: &Sluice) {
    let load = Load::until_ended(sluice, "restart", 2, "0.2").await;
    load.answered(20, Duration::from_secs(60)).await;
    sluice.api::<StatefulSet>().restart(BROKER).await.unwrap();
    let inbox = sluice.inbox().await;
    let (mut mails, mut last, mut gap) = (0, Instant::now(), Duration::ZERO);
    until("every node has started anew", Duration::from_secs(400), async || {
        let now = inbox.mails().await?.len();
        if now > mails {
            gap = gap.max(last.elapsed());
            (mails, last) = (now, Instant::now());
        }
        let set = sluice.api::<StatefulSet>().get(BROKER).await.map_err(|error| error.to_string())?;
        let status = set.status.unwrap_or_default();
        let (ready, updated) = (status.ready_replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0));
        let newest =
            status.current_revision == status.update_revision && status.observed_generation == set.metadata.generation;
        (ready == 3 && newest).then_some(()).ok_or_else(|| format!("{ready} ready, {updated} new"))
    })
    .await;
    load.end().await;
    assert!(gap < GAP, "mails came all the while, but for {gap:?}");
    sluice.everyone_is_mailed_once().await;
}

async fn three_nodes_do_not_become_one(sluice: &Sluice) {
    let one = sluice.values_with(json!({ "rabbitmq": { "replicas": 1 } }));
    let refusal = sluice.helm.upgrade(RELEASE, &one).await.refusal();
    assert!(refusal.contains("rabbitmq.replicas") || refusal.contains("replicas"), "{refusal}");
    sluice.stateful_set_ready(BROKER, 3, Duration::from_secs(10)).await;
}
