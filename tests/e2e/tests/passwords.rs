//! Passwords: kept, rotated, and found again after an uninstallation.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{EMAIL_WORKER, Load, RELEASE, Run, Sluice, USER_API, check, random, register, registered, until};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

pub(crate) async fn tests(run: &mut Run) {
    let values = json!({ "emailWorker": { "autoscaling": { "minReplicas": 1 } } });
    let sluice = Sluice::install(&run.cluster, "passwords", values).await;
    check!(run, an_upgrade_keeps_every_password(&sluice));
    check!(run, rotating_the_password_of_the_broker_as_documented_loses_nothing(&sluice));
    check!(run, rotating_the_password_of_the_database_as_documented_loses_nothing(&sluice));
    check!(run, uninstalling_says_what_it_keeps_and_a_new_installation_finds_its_data(&sluice));
    sluice.remove().await;
}

async fn an_upgrade_keeps_every_password(sluice: &Sluice) {
    let before = passwords(sluice).await;
    assert!(before.len() >= 7, "each user and the cookie: {:?}", before.keys());
    sluice.upgrade(json!({ "telemetry": { "logLevel": "debug" } })).await;
    assert!(passwords(sluice).await == before, "a password is another one after the upgrade");
    register(sluice, "after-the-upgrade", &[]).await;
    sluice.everyone_is_mailed_once().await;
}

async fn rotating_the_password_of_the_broker_as_documented_loses_nothing(sluice: &Sluice) {
    rotated_under_load(sluice, "rabbitmq").await;
}

async fn rotating_the_password_of_the_database_as_documented_loses_nothing(sluice: &Sluice) {
    rotated_under_load(sluice, "postgresql").await;
}

/// The steps of docs/operations.md for user-api's password: the new one into the secret, an upgrade that makes the URL from it,
/// then whoever checks it and whoever uses it start anew.
async fn rotated_under_load(sluice: &Sluice, server: &str) {
    let load = Load::until_ended(sluice, &format!("rotate-{server}"), 2, "0.2").await;
    load.answered(20, Duration::from_secs(60)).await;
    let (secret, stateful_set) = (format!("{RELEASE}-{server}-user-api"), format!("{RELEASE}-{server}"));
    let patch = Patch::Merge(json!({ "stringData": { "password": random(32) } }));
    sluice.api::<Secret>().patch(&secret, &PatchParams::default(), &patch).await.unwrap();
    sluice.upgrade(json!({})).await;
    sluice.api::<StatefulSet>().restart(&stateful_set).await.unwrap();
    sluice.stateful_set_ready(&stateful_set, 1, Duration::from_secs(180)).await;
    sluice.api::<Deployment>().restart(USER_API).await.unwrap();
    sluice.settled(USER_API, 1, Duration::from_secs(120)).await;
    // New ones are answered again, with the new password.
    let so_far = registered(&load.answers().await).len();
    until("registrations go on", Duration::from_secs(60), async || {
        let now = registered(&load.answers().await).len();
        if now >= so_far + 20 { Ok(()) } else { Err(format!("{} more", now - so_far)) }
    })
    .await;
    let answers = load.end().await;
    assert!(registered(&answers).is_subset(&sluice.users().await.unwrap()), "whoever is answered 201 is a user");
    sluice.everyone_is_mailed_once().await;
}

async fn uninstalling_says_what_it_keeps_and_a_new_installation_finds_its_data(sluice: &Sluice) {
    let (passwords_before, users_before) = (passwords(sluice).await, sluice.users().await.unwrap());
    let said = sluice.helm.uninstall(RELEASE).await;
    let printed = format!("{}{}", said.out, said.err);
    assert!(said.ok, "{printed}");
    for secret in passwords_before.keys() {
        let (name, _) = secret.split_once('/').unwrap();
        assert!(printed.contains(name), "it says nothing of {name}:\n{printed}");
    }
    until("the pods are gone", Duration::from_secs(150), async || {
        let pods = sluice.api::<Pod>().list(&ListParams::default().labels("app.kubernetes.io/part-of=sluice")).await;
        let left = pods.map_err(|error| error.to_string())?.items.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
    })
    .await;
    sluice.helm.install(RELEASE, &sluice.values).await.out();
    assert!(passwords(sluice).await == passwords_before, "a password is another one after the new installation");
    assert_eq!(sluice.users().await.unwrap(), users_before, "everyone is still there");
    register(sluice, "after-the-reinstallation", &[]).await;
    sluice.settled(EMAIL_WORKER, 1, Duration::from_secs(60)).await;
    sluice.inbox().await.has_mail_to("after-the-reinstallation@example.com", Duration::from_secs(60)).await;
}

/// `secret/key` and value, of all secrets that the release made.
async fn passwords(sluice: &Sluice) -> BTreeMap<String, String> {
    let mut passwords = BTreeMap::new();
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=sluice");
    for secret in sluice.api::<Secret>().list(&ours).await.unwrap() {
        let name = secret.metadata.name.unwrap();
        for (key, value) in secret.data.unwrap_or_default() {
            if key == "password" || key == "cookie" {
                passwords.insert(format!("{name}/{key}"), String::from_utf8(value.0).unwrap());
            }
        }
    }
    passwords
}
