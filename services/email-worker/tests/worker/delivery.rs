//! One task becomes one mail.

use contract::queue;

use crate::helpers::{PATIENCE, World};

#[tokio::test]
async fn a_task_becomes_a_mail_a_mark_and_an_ack() {
    let world = World::new().await;
    let worker = world.worker().await;
    let id = world.register("ada@example.com").await;
    let mails = world.smtp.wait_for_mails(1, PATIENCE).await;
    assert_eq!(mails[0].to, ["ada@example.com"]);
    assert!(mails[0].message_id().starts_with(&id.to_string()), "{}", mails[0].message_id());
    world.marked(1).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 1);
}

#[tokio::test]
async fn a_bare_task_is_mailed_too() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.client.publish_bare(queue::EMAIL, br#"{"email":"ada@example.com","username":"ada"}"#).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.marked(1).await;
    world.ends_clean(worker).await;
}
