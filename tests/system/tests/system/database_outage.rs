//! The database dies under load.

use std::collections::HashSet;
use std::time::Duration;

use system::{Load, System};
use testkit::eventually;

const REGISTRATIONS: usize = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn services_stay_up_and_users_equal_mails_when_the_database_is_killed_under_load() {
    let system = System::start().await;
    let api = system.api(&[("HASH_COST", "cheap")]).await;
    let worker = system.worker(&[]);
    worker.ready().await;
    system.topology_settled().await;

    let load = Load::new(vec![api.base_url()], "outage");
    let running = load.clone();
    let flood = tokio::spawn(async move { running.run(REGISTRATIONS, 16).await });
    eventually("a third of the registrations are answered", Duration::from_secs(120), async || {
        (load.done() >= REGISTRATIONS / 3).then_some(())
    })
    .await;
    system.postgres.kill();
    let probe = Load::new(vec![api.base_url()], "while-away").run(4, 4).await;
    system.postgres.restart().await;
    let answers = flood.await.unwrap();

    for answer in &probe {
        assert_eq!(answer.status, Some(503), "a database that is away is a 503");
    }
    let odd: Vec<_> = answers.iter().filter(|answer| !matches!(answer.status, Some(201 | 503))).collect();
    assert!(odd.is_empty(), "201 or an honest 503, nothing else: {:?}", odd.first());
    let back = eventually("registrations work again", Duration::from_secs(30), async || {
        let tag = uuid::Uuid::now_v7().simple().to_string();
        let again = Load::new(vec![api.base_url()], &tag[16..]).run(1, 1).await;
        (again[0].status == Some(201)).then(|| again[0].email.clone())
    })
    .await;
    system.everyone_is_mailed(Duration::from_secs(120)).await;
    system.drained(Duration::from_secs(60)).await;

    assert!(api.status().is_none() && worker.status().is_none(), "both services stay up");
    let users = system.users().await;
    let mailed: HashSet<String> = system.smtp.mails().iter().map(|mail| mail.to[0].clone()).collect();
    assert_eq!(users, mailed, "users rows = mails");
    let promised = answers.iter().filter(|answer| answer.status == Some(201)).map(|answer| answer.email.clone());
    let promised: HashSet<String> = promised.chain([back]).collect();
    assert!(promised.is_subset(&users), "every 201 is a user: {:?}", promised.difference(&users).next());
}
