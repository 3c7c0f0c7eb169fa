//! The broker dies in the middle of a flood of registrations.

use std::collections::HashSet;
use std::time::Duration;

use system::{Load, System, repeated};
use testkit::eventually;

const REGISTRATIONS: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_registration_becomes_one_mail_when_the_broker_is_killed_and_comes_back_after_ten_seconds() {
    let system = System::start_with_own_broker().await;
    let api = system.api(&[("HASH_COST", "cheap")]).await;
    let worker = system.worker(&[]);
    worker.ready().await;
    system.topology_settled().await;

    let load = Load::new(vec![api.base_url()], "flood");
    let answers = {
        let (running, load) = (load.clone(), load);
        let flood = tokio::spawn(async move { running.run(REGISTRATIONS, 16).await });
        eventually("a third of the registrations are answered", Duration::from_secs(120), async || {
            (load.done() >= REGISTRATIONS / 3).then_some(())
        })
        .await;
        system.rabbit.own().kill();
        // For so long it is away.
        tokio::time::sleep(Duration::from_secs(10)).await;
        system.rabbit.own().restart().await;
        flood.await.unwrap()
    };
    system.everyone_is_mailed(Duration::from_secs(120)).await;
    system.drained(Duration::from_secs(60)).await;

    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != Some(201)).collect();
    assert!(
        refused.is_empty(),
        "registration needs no broker, yet {} were not 201: {:?}",
        refused.len(),
        refused.first()
    );
    let users = system.users().await;
    let mails: Vec<String> = system.smtp.mails().iter().map(|mail| mail.to[0].clone()).collect();
    let mailed: HashSet<String> = mails.iter().cloned().collect();
    assert_eq!(users.len(), REGISTRATIONS, "every 201 is a user");
    assert_eq!(users.difference(&mailed).count(), 0, "users without a mail");
    assert_eq!(repeated(&mails), HashSet::new(), "mails sent twice");
    assert_eq!(system.queued(contract::queue::DEAD).await, 0, "nothing is put aside");
}
