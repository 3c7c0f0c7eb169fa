//! Tasks that were delivered suspiciously often run alone.

use std::time::Duration;

use contract::{TaskId, header, queue};
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Script, Stage, eventually};

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
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(300)).for_recipient("suspect@example.com"));
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
    world.smtp.set_script(Script::healthy().hang_at(Stage::Content).for_recipient("poison@example.com"));
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

/// Lone runs of the one task in the ledger.
async fn lone_runs(world: &World) -> i16 {
    sqlx::query_scalar("SELECT lone_runs FROM ledger").fetch_one(world.database.pool()).await.unwrap()
}

#[tokio::test]
async fn a_lone_run_that_lost_its_claim_counts_for_nothing() {
    let world = World::new().await;
    let worker = world.worker_with(&[("SEND_TIMEOUT", "500ms"), ("MAIL_RETRY_SCHEDULE", "1h")]).await;
    world.loses_its_mail_server().await;
    publish_suspect(&world, "suspect@example.com").await;
    worker.circuit_opens("unreachable").await;
    assert_eq!(lone_runs(&world).await, 1, "it has begun");
    let theft = sqlx::query("UPDATE ledger SET owner = gen_random_uuid(), until = now() + interval '1 hour'");
    theft.execute(world.database.pool()).await.unwrap();
    world.smtp.listen_again().await;
    let retry_queue = queue::retry(Duration::from_secs(3600));
    eventually("it waits for the other", PATIENCE, async || world.client.take(&retry_queue).await).await;
    assert_eq!(lone_runs(&world).await, 0, "the worker lived");
    assert_eq!(world.smtp.mails().len(), 0, "the other may send it");
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_suspect_that_waits_for_its_turn_leaves_the_count_of_its_runs_alone() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().hang_at(Stage::Content).for_recipient("neighbour@example.com"));
    let worker = world.worker_with(&[("SHUTDOWN_GRACE", "2s")]).await;
    world.register("neighbour@example.com").await;
    let content = || world.smtp.counts().commands.get(&Stage::Content).copied().unwrap_or_default();
    eventually("the neighbour is being sent", PATIENCE, async || (content() == 1).then_some(())).await;
    let id = TaskId::new();
    let crashes = "INSERT INTO ledger (id, owner, until, lone_runs) VALUES ($1, gen_random_uuid(), now(), 2)";
    sqlx::query(crashes).bind(id.as_uuid()).execute(world.database.pool()).await.unwrap();
    let mut headers = FieldTable::default();
    headers.insert(header::SUSPECT.into(), AMQPValue::LongLongInt(1));
    world.publish("suspect@example.com", registration(id).with_headers(headers)).await;
    eventually("both are with the worker", PATIENCE, async || (world.waiting(queue::EMAIL).await == 0).then_some(()))
        .await;
    worker.stop().await;
    let runs = sqlx::query_scalar("SELECT lone_runs FROM ledger WHERE id = $1").bind(id.as_uuid());
    let runs: i16 = runs.fetch_one(world.database.pool()).await.unwrap();
    assert_eq!(runs, 2, "it was not run, and its crashes are forgotten");
}
