//! Pods that go away under load: users = mails, and nobody is mailed twice but in the documented windows.

use std::time::Duration;

use e2e::{EMAIL_WORKER, Load, RELEASE, Run, Sluice, USER_API, check, pods};
use serde_json::json;

const SLOTS: usize = 8;
/// A dead worker, or its dead database, leaves at most so many mails accepted and unmarked.
const UNMARKED: usize = SLOTS + 100;
/// Answers before a fault, and after the recovery from it.
const ANSWERS: usize = 100;

pub(crate) async fn tests(run: &mut Run) {
    let worker = json!({
        "autoscaling": { "enabled": false },
        "sendingSlots": SLOTS,
        // The claims of a dead worker run out soon.
        "sendTimeout": "5s",
        "shutdownGrace": "15s",
        "terminationGracePeriodSeconds": 25,
    });
    let values = json!({ "emailWorker": worker, "userApi": { "replicas": 2 } });
    let sluice = Sluice::install(&run.cluster, "faults", values).await;
    check!(run, a_worker_killed_without_notice_repeats_no_more_than_what_it_had_not_marked(&sluice));
    check!(run, a_deleted_user_api_loses_nothing_and_repeats_nothing(&sluice));
    check!(run, a_deleted_broker_loses_nothing_and_repeats_nothing(&sluice));
    check!(run, a_deleted_database_loses_nothing_and_repeats_no_more_than_what_was_not_marked(&sluice));
    sluice.remove().await;
}

async fn a_worker_killed_without_notice_repeats_no_more_than_what_it_had_not_marked(sluice: &Sluice) {
    under_load(sluice, "worker", UNMARKED, async || {
        let worker = pods::name(&sluice.pods_of("email-worker").await[0]).to_owned();
        pods::kill(&sluice.pods, &worker).await;
        sluice.settled(EMAIL_WORKER, 1, Duration::from_secs(60)).await;
    })
    .await;
}

async fn a_deleted_user_api_loses_nothing_and_repeats_nothing(sluice: &Sluice) {
    under_load(sluice, "api", 0, async || {
        let api = pods::name(&sluice.pods_of("user-api").await[0]).to_owned();
        pods::delete(&sluice.pods, &api).await;
        sluice.settled(USER_API, 2, Duration::from_secs(90)).await;
    })
    .await;
}

async fn a_deleted_broker_loses_nothing_and_repeats_nothing(sluice: &Sluice) {
    under_load(sluice, "broker", 0, async || replaced(sluice, "rabbitmq").await).await;
}

async fn a_deleted_database_loses_nothing_and_repeats_no_more_than_what_was_not_marked(sluice: &Sluice) {
    under_load(sluice, "database", UNMARKED, async || replaced(sluice, "postgresql").await).await;
}

/// Deletes the only pod of a stateful set, and waits for the next one.
async fn replaced(sluice: &Sluice, component: &str) {
    let pod = format!("{RELEASE}-{component}-0");
    let before = sluice.pods.get(&pod).await.unwrap().metadata.uid;
    pods::delete(&sluice.pods, &pod).await;
    e2e::until("the next pod is ready", Duration::from_secs(180), async || {
        let pod = sluice.pods.get(&pod).await.map_err(|error| error.to_string())?;
        (pod.metadata.uid != before && pods::is_ready(&pod)).then_some(()).ok_or_else(|| "not yet".to_owned())
    })
    .await;
}

/// Registers people all the while, breaks something, and looks at the outcome: users = mails, at most so many of them twice.
async fn under_load(sluice: &Sluice, name: &str, twice: usize, fault: impl AsyncFnOnce()) {
    let inbox = sluice.inbox().await;
    let repeated_before = inbox.repeated().await.len();
    let load = Load::until_ended(sluice, name, 4, "0.1").await;
    load.answered(ANSWERS, Duration::from_secs(60)).await;
    fault().await;
    let so_far = load.answers().await.len();
    load.answered(so_far + ANSWERS, Duration::from_secs(120)).await;
    let answers = load.end().await;

    let users = sluice.users().await.unwrap();
    let answered = e2e::registered(&answers);
    assert!(answered.is_subset(&users), "whoever is answered 201 is a user");
    assert!(answered.len() > ANSWERS, "the load went on: {} of {} were answered 201", answered.len(), answers.len());
    inbox.has_mail_for(&users, Duration::from_secs(120)).await;
    sluice.broker("keda").await.drained(Duration::from_secs(60)).await;
    let mailed: std::collections::BTreeSet<String> = inbox.counts().await.into_keys().collect();
    assert_eq!(mailed, users, "users and those mailed are the same");
    let repeated = inbox.repeated().await.len() - repeated_before;
    assert!(repeated <= twice, "{repeated} were mailed twice, at most {twice} may be");
}
