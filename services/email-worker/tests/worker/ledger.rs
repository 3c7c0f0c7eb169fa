//! What the ledger is for: each mail once, whoever delivers the task how often.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::{TaskId, header, queue};
use testkit::lapin::BasicProperties;
use testkit::{Postgres, Script, SmtpOptions, Stage, eventually};

use crate::helpers::{PATIENCE, World, body, registration};

#[tokio::test]
async fn a_task_that_is_published_twice_is_mailed_once() {
    let world = World::new().await;
    let worker = world.worker().await;
    let id = TaskId::new();
    world.publish("ada@example.com", registration(id)).await;
    world.marked(1).await;
    for _ in 0..20 {
        world.publish("ada@example.com", registration(id)).await;
    }
    // The last in the queue: when it is mailed, the others were looked at.
    world.register("last@example.com").await;
    world.smtp.wait_for_mails(2, PATIENCE).await;
    world.marked(2).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 2, "a duplicate was mailed");
}

#[tokio::test]
async fn copies_that_come_together_are_mailed_once() {
    let world = World::new().await;
    world.queue_exists().await;
    let id = TaskId::new();
    for _ in 0..50 {
        world.publish("ada@example.com", registration(id)).await;
    }
    let (one, other) = (world.worker().await, world.worker().await);
    world.marked(1).await;
    world.register("last@example.com").await;
    world.smtp.wait_for_mails(2, PATIENCE).await;
    world.marked(2).await;
    eventually("every copy settled", PATIENCE, async || {
        (world.waiting(queue::EMAIL).await + world.retrying().await == 0).then_some(())
    })
    .await;
    other.stop().await;
    world.ends_clean(one).await;
    assert_eq!(world.smtp.mails().len(), 2, "a copy was mailed");
}

#[tokio::test]
async fn a_task_that_another_worker_holds_waits_on_the_first_retry_queue_without_an_attempt() {
    let world = World::new().await;
    let worker = world.worker_with(&[("MAIL_RETRY_SCHEDULE", "1h")]).await;
    let id = TaskId::new();
    let claim = sqlx::query("INSERT INTO ledger (id, owner, until) VALUES ($1, $2, now() + interval '1 hour')");
    claim.bind(id.as_uuid()).bind(TaskId::new().as_uuid()).execute(world.database.pool()).await.unwrap();
    world.publish("ada@example.com", registration(id)).await;
    let retry_queue = queue::retry(Duration::from_secs(3600));
    let waiting =
        eventually("the task on the retry queue", PATIENCE, async || world.client.take(&retry_queue).await).await;
    assert_eq!(waiting.header(header::ATTEMPT), None, "an attempt was spent");
    assert_eq!(waiting.message_id(), Some(id.to_string().as_str()));
    assert_eq!(world.smtp.counts().commands.get(&Stage::Mail), None);
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_task_whose_worker_died_is_mailed_when_its_claim_has_run_out() {
    let world = World::new().await;
    let worker = world.worker().await;
    let id = TaskId::new();
    let claim = sqlx::query("INSERT INTO ledger (id, owner, until) VALUES ($1, $2, now() + interval '1 second')");
    claim.bind(id.as_uuid()).bind(TaskId::new().as_uuid()).execute(world.database.pool()).await.unwrap();
    world.publish("ada@example.com", registration(id)).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.marked(1).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_redelivery_of_a_mail_that_is_being_sent_attaches_to_it() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(500)));
    let worker = world.worker_with(&[("SEND_TIMEOUT", "60s")]).await;
    world.register("ada@example.com").await;
    world.client.publish_bare(queue::EMAIL, &body("bare@example.com")).await;
    let sending = || world.smtp.counts().commands.get(&Stage::Content).copied().unwrap_or_default();
    eventually("both mails are being sent", PATIENCE, async || (sending() == 2).then_some(())).await;
    // Its answers come when both are delivered again.
    world.smtp.pause();
    let closed = eventually("the consumer's connection is listed and closed", PATIENCE, async || {
        Some(world.vhost.close_connections("consumer").await).filter(|closed| *closed > 0)
    });
    assert_eq!(closed.await, 1);
    worker.says("the connection is lost", |status, _| status == 503).await;
    worker.ready().await;
    world.register("last@example.com").await;
    // What came back stands before it in the queue.
    let rows = async || (world.ledger_rows().await == 3).then_some(());
    eventually("the last one is claimed", PATIENCE, rows).await;
    world.smtp.resume();
    world.marked(3).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 3, "a mail was sent again because its task was delivered again");
}

#[tokio::test]
async fn twins_without_ids_are_both_mailed() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(100)));
    let worker = world.worker().await;
    for _ in 0..2 {
        world.client.publish_bare(queue::EMAIL, &body("twin@example.com")).await;
    }
    world.smtp.wait_for_mails(2, PATIENCE).await;
    // And one that comes long after them.
    world.client.publish_bare(queue::EMAIL, &body("twin@example.com")).await;
    world.smtp.wait_for_mails(3, PATIENCE).await;
    let all = || world.smtp.mails().iter().map(testkit::Mail::message_id).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(all().len(), 3, "two of three mails with one content have one Message-ID: {:?}", all());
    world.marked(3).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_task_older_than_the_ledgers_memory_is_put_aside() {
    let world = World::new().await;
    let worker = world.worker().await;
    let eight_days_ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 8 * 24 * 3600;
    world.publish("ada@example.com", registration(TaskId::new()).with_timestamp(eight_days_ago)).await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("too-old-to-deduplicate"));
    // The age of an id counts where there is no timestamp.
    let old = "018f0000-0000-7000-8000-000000000000";
    world.publish("ada@example.com", BasicProperties::default().with_message_id(old.into())).await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("too-old-to-deduplicate"));
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 0);
}

#[tokio::test]
async fn without_the_database_nothing_is_sent_and_nothing_is_spent() {
    let server = Postgres::start().await;
    let world = World::within(testkit::vhost().await, server.database().await, SmtpOptions::default()).await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(300)));
    let worker = world.worker().await;
    world.register("first@example.com").await;
    let sending = || world.smtp.counts().commands.get(&Stage::Content).copied().unwrap_or_default();
    eventually("the first mail is being sent", PATIENCE, async || (sending() == 1).then_some(())).await;
    // Its mark waits in memory for the database to come back.
    server.kill();
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.register_many("later", 30).await;
    worker.circuit_opens("ledger-down").await;
    assert_eq!(world.retrying().await, 0, "an attempt was spent");
    assert_eq!(world.smtp.mails().len(), 1, "mails were sent without the ledger");
    server.restart().await;
    world.smtp.set_script(Script::healthy());
    worker.circuit_closes().await;
    world.smtp.wait_for_mails(31, PATIENCE).await;
    world.marked(31).await;

    // The same when it hangs instead.
    server.pause();
    world.register_many("last", 10).await;
    worker.circuit_opens("ledger-down").await;
    assert_eq!(world.smtp.mails().len(), 31, "mails were sent without the ledger");
    server.resume();
    world.smtp.wait_for_mails(41, PATIENCE).await;
    world.marked(41).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 41, "a mail was repeated");
}
