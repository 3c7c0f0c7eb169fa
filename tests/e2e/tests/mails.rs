//! Mails of your own, from a ConfigMap.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{EMAIL_WORKER, Sluice, pods, register, until};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const NAME: &str = "our-mails";

/// Files of an own welcome mail, told apart by its subject.
fn files(subject: &str) -> BTreeMap<String, String> {
    let files = [
        ("email.welcome.toml", "[fields]\nusername = \"text\"\n\n[sample]\nusername = \"ada\"\n"),
        ("email.welcome.en.subject", subject),
        ("email.welcome.en.txt", "Hello {{ username }}.\n"),
    ];
    files.map(|(name, content)| (name.to_owned(), content.to_owned())).into()
}

pub(crate) async fn a_config_map_that_changes_changes_the_next_mails_without_a_restart(sluice: &Sluice) {
    let maps = sluice.api::<ConfigMap>();
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    let map = ConfigMap { metadata, data: Some(files("The first of ours")), ..ConfigMap::default() };
    maps.create(&PostParams::default(), &map).await.expect("a ConfigMap");
    sluice.upgrade(json!({ "mails": { "existingConfigMap": NAME } })).await;
    sluice.settled(EMAIL_WORKER, 1, Duration::from_secs(90)).await;
    next_mails_are(sluice, "The first of ours").await;

    let before = workers(sluice).await;
    let patch: Value = json!({ "data": files("The second of ours") });
    maps.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.expect("the ConfigMap is changed");
    next_mails_are(sluice, "The second of ours").await;
    assert_eq!(workers(sluice).await, before, "the same pods, and none was restarted");
    sluice.everyone_is_mailed_once().await;
}

/// The kubelet brings a change to a pod within a minute and a half.
async fn next_mails_are(sluice: &Sluice, subject: &str) {
    let inbox = sluice.inbox().await;
    let mut tries = 0;
    until(&format!("mails are {subject:?}"), Duration::from_secs(180), async || {
        tries += 1;
        let name = format!("reader-{}-{tries}", subject.split(' ').nth(1).unwrap_or_default());
        register(sluice, &name, &[]).await;
        let to = format!("{name}@example.com");
        inbox.has_mail_to(&to, Duration::from_secs(60)).await;
        let mails = inbox.mails().await?;
        let found = mails.iter().find(|mail| mail.to == to).map(|mail| mail.subject.as_str()).unwrap_or_default();
        if found == subject { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// Names and restarts of the workers' pods.
async fn workers(sluice: &Sluice) -> Vec<(String, i32)> {
    let of = |pod: &Pod| (pods::name(pod).to_owned(), pods::restarts(pod));
    let mut workers: Vec<_> = sluice.pods_of("email-worker").await.iter().map(of).collect();
    workers.sort();
    workers
}
