//! Stopping: mails past MAIL are finished, the rest is handed back, in time.

use std::time::{Duration, Instant};

use contract::{header, queue};
use testkit::{Postgres, Script, SmtpOptions, Stage, eventually};

use crate::helpers::{PATIENCE, World};

fn being_sent(world: &World) -> u64 {
    world.smtp.counts().commands.get(&Stage::Content).copied().unwrap_or_default()
}

/// Claims that would keep another worker from a task.
async fn claims(world: &World) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM ledger WHERE sent_at IS NULL AND until > now()");
    count.fetch_one(world.database.pool()).await.unwrap()
}

#[tokio::test]
async fn a_drain_finishes_what_is_past_mail_and_hands_the_rest_back_without_claims() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(1)));
    world.queue_exists().await;
    world.register_many("user", 40).await;
    let worker = world.worker_with(&[("SENDING_SLOTS", "2")]).await;
    eventually("two mails are being sent", PATIENCE, async || (being_sent(&world) == 2).then_some(())).await;
    worker.stop().await;
    assert_eq!(world.smtp.mails().len(), 2, "only what was past MAIL is finished");
    assert_eq!(world.marks().await, 2);
    world.handed_back(38).await;
    assert_eq!(claims(&world).await, 0, "another worker has to wait for claims of one that is gone");

    world.smtp.set_script(Script::healthy());
    let next = world.worker().await;
    world.smtp.wait_for_mails(40, PATIENCE).await;
    world.marked(40).await;
    world.ends_clean(next).await;
    assert_eq!(world.smtp.mails().len(), 40, "a mail was repeated");
}

#[tokio::test]
async fn sigterm_drains_and_exits_0_and_says_so_at_readyz() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(1)));
    let worker = world.process(&[("SENDING_SLOTS", "2")]);
    worker.ready().await;
    world.register_many("user", 10).await;
    eventually("two mails are being sent", PATIENCE, async || (being_sent(&world) == 2).then_some(())).await;
    let began = Instant::now();
    let status = worker.terminate().await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(began.elapsed() < Duration::from_secs(10), "longer than SHUTDOWN_GRACE: {:?}", began.elapsed());
    assert_eq!(world.smtp.mails().len(), 2);
    world.handed_back(8).await;
    assert_eq!(claims(&world).await, 0);
}

#[tokio::test]
async fn a_drain_that_a_mail_server_holds_up_ends_with_the_grace() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().hang_at(Stage::Content));
    let worker = world.process(&[("SEND_TIMEOUT", "500ms"), ("SMTP_DATA_TIMEOUT", "60s"), ("SHUTDOWN_GRACE", "1s")]);
    worker.ready().await;
    world.register("ada@example.com").await;
    eventually("the mail is being sent", PATIENCE, async || (being_sent(&world) == 1).then_some(())).await;
    let began = Instant::now();
    let status = worker.terminate().await;
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0), "{status}");
    // Nobody is waited for in the last fifth of it.
    assert!((Duration::from_millis(800)..Duration::from_secs(6)).contains(&took), "{took:?}");
    // Twice, if what is left of the grace did not last until the broker confirmed the copy for the retry.
    world.handed_back_within(1..=2).await;
}

#[tokio::test]
async fn what_an_open_circuit_holds_is_handed_back_at_once() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.loses_its_mail_server().await;
    world.register_many("user", 30).await;
    worker.circuit_opens("unreachable").await;
    let began = Instant::now();
    worker.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    world.handed_back(30).await;
    assert_eq!(claims(&world).await, 0);
    while let Some(task) = world.client.take(queue::EMAIL).await {
        assert!(!task.redelivered, "it was returned, which counts as delivered, and not published anew");
    }
}

#[tokio::test]
async fn a_drain_without_the_database_ends_in_time_and_loses_nothing() {
    let server = Postgres::start().await;
    let world = World::within(testkit::vhost().await, server.database().await, SmtpOptions::default()).await;
    let worker = world.worker().await;
    server.kill();
    world.register_many("user", 30).await;
    worker.circuit_opens("ledger-down").await;
    let began = Instant::now();
    worker.stop().await;
    assert!(began.elapsed() < Duration::from_secs(12), "longer than SHUTDOWN_GRACE: {:?}", began.elapsed());
    world.handed_back(30).await;
}

#[tokio::test]
async fn a_mail_refused_during_the_drain_still_reaches_its_retry_queue() {
    let world = World::new().await;
    let late = Script::healthy().delay(Duration::from_secs(1)).reply(Stage::Content, "451 4.3.0 later");
    world.smtp.set_script(late);
    let worker = world.worker_with(&[("MAIL_RETRY_SCHEDULE", "1h")]).await;
    world.register("ada@example.com").await;
    eventually("the mail is being sent", PATIENCE, async || (being_sent(&world) == 1).then_some(())).await;
    worker.stop().await;
    assert_eq!(world.waiting(&queue::retry(Duration::from_secs(3600))).await, 1);
    assert_eq!(world.waiting(queue::EMAIL).await, 0);
}

#[tokio::test]
async fn restarts_during_an_outage_make_no_suspects() {
    let world = World::new().await;
    // It greets, so that workers begin, and then takes no mail from us.
    world.smtp.set_script(Script::healthy().reply(Stage::Mail, "550 5.7.1 not you"));
    world.queue_exists().await;
    world.register_many("user", 20).await;
    // A few; each would count.
    for restart in 1..=3 {
        let worker = world.worker().await;
        worker.circuit_opens("sender-refused").await;
        let all = async || (world.waiting(queue::EMAIL).await == 0).then_some(());
        eventually("the worker holds all tasks", PATIENCE, all).await;
        worker.stop().await;
        world.handed_back(20).await;
        assert_eq!(claims(&world).await, 0, "restart {restart}");
    }
    for _ in 0..20 {
        let task = world.client.take(queue::EMAIL).await.expect("20 tasks");
        assert!(!task.redelivered, "it was returned, which counts");
        let counts = (task.header(header::DELIVERIES), task.header(header::SUSPECT));
        assert!(matches!(counts.0.as_deref(), None | Some("0")) && counts.1.is_none(), "{counts:?}");
    }
}
