//! The broker takes away what the worker stands on: it comes back by itself, and no mail is lost or repeated.

use std::time::Duration;

use contract::queue;
use testkit::{Rabbit, Script, SmtpOptions, Stage, eventually};

use crate::helpers::{DELAYS, PATIENCE, World};

/// A world in a node of the test's own.
async fn world_in(rabbit: &Rabbit) -> World {
    World::within(rabbit.vhost().await, testkit::database().await, SmtpOptions::default()).await
}

/// Waits until the broker closed a connection of the worker.
async fn cut(world: &World, named: &str) {
    let closed = async || Some(world.vhost.close_connections(named).await).filter(|closed| *closed > 0);
    eventually("a connection to close is listed", PATIENCE, closed).await;
}

#[tokio::test]
async fn connections_that_the_broker_closes_again_and_again_lose_and_repeat_nothing() {
    let world = World::new().await;
    // Some are refused once, so that the publisher is at work too.
    let script = (0..300).step_by(10).fold(Script::healthy().delay(Duration::from_millis(20)), |script, n| {
        script.reply(Stage::Rcpt, "450 4.2.0 later").for_recipient(&format!("user-{n}@example.com")).times(1)
    });
    world.smtp.set_script(script);
    let worker = world.worker_with(&[("SENDING_SLOTS", "4")]).await;
    world.register_many("user", 300).await;
    for _ in 0..3 {
        cut(&world, "email-worker").await;
    }
    world.smtp.wait_for_mails(300, 2 * PATIENCE).await;
    world.marked(300).await;
    worker.ready().await;
    world.register("last@example.com").await;
    world.smtp.wait_for_mails(301, PATIENCE).await;
    world.marked(301).await;
    let one_each = async || (world.vhost.connection_names().await.len() <= 3).then_some(());
    eventually("no more than a consumer's and a publisher's connection, and ours", PATIENCE, one_each).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 301, "a mail was repeated");
}

#[tokio::test]
async fn a_queue_that_is_deleted_under_the_consumer_is_declared_anew() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.register("first@example.com").await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.marked(1).await;
    world.vhost.delete_queue(queue::EMAIL).await;
    eventually("the queue is back", PATIENCE, async || world.vhost.queue_info(queue::EMAIL).await).await;
    worker.ready().await;
    world.register("second@example.com").await;
    world.smtp.wait_for_mails(2, PATIENCE).await;
    world.marked(2).await;
    let one_each = async || (world.vhost.connection_names().await.len() == 2).then_some(());
    eventually("the connection of the deleted queue's consumer is closed", PATIENCE, one_each).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_retry_queue_that_is_deleted_is_declared_anew_for_the_next_task() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().greylisting(1));
    let worker = world.worker().await;
    for n in 1..=2 {
        world.register(&format!("user-{n}@example.com")).await;
        world.smtp.wait_for_mails(n, PATIENCE).await;
        world.vhost.delete_queue(&queue::retry(DELAYS[0])).await;
    }
    world.marked(2).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn while_the_broker_is_away_the_worker_is_alive_not_ready_and_finishes_its_mails() {
    let rabbit = Rabbit::start().await;
    let world = world_in(&rabbit).await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(1)));
    let worker = world.worker_with(&[("SENDING_SLOTS", "4"), ("SEND_TIMEOUT", "10s")]).await;
    rabbit.queues_written().await;
    world.register_many("user", 20).await;
    let being_sent = || world.smtp.counts().commands.get(&Stage::Content).copied().unwrap_or_default();
    eventually("four mails are being sent", PATIENCE, async || (being_sent() == 4).then_some(())).await;
    rabbit.kill();
    worker
        .says("the broker is away", |status, body| status == 503 && body["components"]["broker"]["reason"].is_string())
        .await;
    assert_eq!(worker.livez().await, Some(200));
    world.smtp.wait_for_mails(4, PATIENCE).await;
    world.marked(4).await;
    world.smtp.set_script(Script::healthy());
    rabbit.restart().await;
    worker.ready().await;
    world.smtp.wait_for_mails(20, 2 * PATIENCE).await;
    world.marked(20).await;
    worker.stop().await;
    let client = world.vhost.client().await;
    assert_eq!(client.ready(queue::EMAIL).await, 0);
    assert_eq!(world.smtp.mails().len(), 20, "a mail was repeated");
}

/// In turn on one node: a node takes its time to start, and both change all of it.
#[tokio::test]
async fn memory_alarms_and_closed_channels_are_survived() {
    let rabbit = Rabbit::start().await;
    a_memory_alarm_holds_up_what_must_move_on_and_nothing_else(&rabbit).await;
    a_channel_that_the_broker_closes_costs_no_mail(&rabbit).await;
}

async fn a_memory_alarm_holds_up_what_must_move_on_and_nothing_else(rabbit: &Rabbit) {
    let world = world_in(rabbit).await;
    world.smtp.set_script(Script::healthy().greylisting(1).for_recipient("refused@example.com"));
    world.queue_exists().await;
    for email in ["taken@example.com", "refused@example.com"] {
        world.register(email).await;
    }
    rabbit.memory_alarm(true).await;
    // The broker reads on until it sees the first message of a connection: nothing is published before one must move on.
    let worker = world.worker().await;
    world.marked(1).await;
    let settled = async || world.vhost.queue_info(queue::EMAIL).await.filter(|info| info.unacked == 1).map(drop);
    eventually("the mail is acknowledged; the refused one waits for the publisher", PATIENCE, settled).await;
    assert_eq!(worker.readyz().await.unwrap().0, 200, "an alarm is no reason to be taken out of service");
    rabbit.memory_alarm(false).await;
    world.marked(2).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 2, "a mail was repeated");
}

async fn a_channel_that_the_broker_closes_costs_no_mail(rabbit: &Rabbit) {
    let world = world_in(rabbit).await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(3)));
    // The broker closes a channel, or cancels its consumer, when a delivery is not acknowledged in time.
    let impatient = "application:set_env(rabbit, consumer_timeout, 500), \
                     application:set_env(rabbit, channel_tick_interval, 500).";
    rabbit.ctl(&["eval", impatient]).await;
    let worker = world.worker_with(&[("SEND_TIMEOUT", "20s")]).await;
    world.register("slow@example.com").await;
    worker.says("the channel is lost", |status, _| status == 503).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.smtp.set_script(Script::healthy());
    world.register("next@example.com").await;
    world.smtp.wait_for_mails(2, PATIENCE).await;
    world.marked(2).await;
    worker.ready().await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 2, "a mail was repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_never_reached_the_broker_is_not_ready_from_the_first_answer_on() {
    let world = World::new().await;
    for _ in 0..10 {
        let worker = world.unready_worker(&[("AMQP_URL", "amqp://guest:guest@127.0.0.1:1/%2f")]).await;
        let (status, body) = eventually("an answer", PATIENCE, async || worker.readyz().await).await;
        assert_eq!(status, 503, "{body}");
        assert_eq!(worker.livez().await, Some(200));
        worker.stop().await;
    }
}
