//! Tasks that were delivered suspiciously often run alone.

use std::time::Duration;

use contract::{TaskId, header, queue};
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Mood, Stage, eventually};

use crate::helpers::{PATIENCE, World, body, registration};

/// A task whose copies were delivered five times already.
async fn publish_suspect(world: &World, email: &str) {
    let mut headers = FieldTable::default();
    headers.insert(header::DELIVERIES.into(), AMQPValue::LongLongInt(5));
    let properties = registration(TaskId::new()).with_headers(headers);
    world.client.publish(queue::EMAIL, &body(email), properties).await;
}

#[tokio::test]
async fn suspects_are_published_anew_run_alone_and_mailed() {
    let world = World::new().await;
    let worker = world.worker().await;
    // Many: the copy may come back before the broker's confirm for it does.
    for n in 0..50 {
        publish_suspect(&world, &format!("suspect-{n}@example.com")).await;
    }
    world.register_many("neighbour", 50).await;
    world.smtp.wait_for_mails(100, PATIENCE).await;
    world.marked(100).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 100, "a mail was repeated");
}

#[tokio::test]
async fn nothing_else_is_sent_while_a_suspect_is() {
    let world = World::new().await;
    world.smtp.set_mood(Mood::healthy().delay(Duration::from_millis(300)).for_recipient("suspect@example.com"));
    let worker = world.worker().await;
    publish_suspect(&world, "suspect@example.com").await;
    let asked = |stage| world.smtp.commands().into_iter().find(move |command| command.stage == stage);
    eventually("the suspect is being sent", PATIENCE, async || asked(Stage::Data)).await;
    world.register_many("neighbour", 20).await;
    world.smtp.wait_for_mails(21, PATIENCE).await;
    let first = &world.smtp.mails()[0];
    assert_eq!(first.to, ["suspect@example.com"], "a neighbour was mailed while the suspect was being sent");
    world.marked(21).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_task_that_kills_its_worker_three_times_alone_is_put_aside_and_its_neighbours_are_mailed() {
    let world = World::new().await;
    // The server never answers its content, and while it waits the worker dies.
    world.smtp.set_mood(Mood::healthy().hang_at(Stage::Content).for_recipient("poison@example.com"));
    let worker = world.process(&[]);
    worker.ready().await;
    publish_suspect(&world, "poison@example.com").await;
    world.register_many("neighbour", 20).await;
    for run in 1..=3 {
        worker.wait_for_log(&format!("\"run\":{run}"), PATIENCE).await;
        let content = |c: &testkit::Command| c.stage == Stage::Content && c.answer == "(hangs)";
        let hanging = || world.smtp.commands().into_iter().filter(content).count();
        eventually("its content hangs", PATIENCE, async || (hanging() == run).then_some(())).await;
        worker.kill();
        worker.restart();
    }
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("crashes-worker"));
    assert!(dead.body.windows(6).any(|part| part == b"poison"), "somebody innocent was put aside");
    world.smtp.wait_for_mails(20, PATIENCE).await;
    world.marked(20).await;
    assert!(worker.terminate().await.success());
    assert_eq!(world.waiting(queue::DEAD).await, 0, "somebody innocent was put aside");
}
