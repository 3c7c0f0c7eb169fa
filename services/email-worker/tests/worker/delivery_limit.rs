//! The broker's own limit of deliveries: a worker that dies again and again loses no task by it.

use std::path::Path;

use contract::{header, queue};
use serde_json::{Value, json};
use testkit::{Client, Rabbit, Script, Service, SmtpOptions, Stage, eventually};

use crate::helpers::{PATIENCE, World, body};

/// More than RabbitMQ 4 bears by itself.
const KILLS: usize = 30;
/// What it bears.
const KILLS_BORNE: usize = 20;

/// What the charts' policy says of the main queue.
fn policy_of_the_charts() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/rabbitmq/files/definitions.json");
    let template = std::fs::read_to_string(file).unwrap();
    let (_, json) = template.split_once('\n').expect("a first line that is Helm's alone");
    let definitions: Value = serde_json::from_str(&json.replace("{{ $vhost }}", "\"sluice\"")).unwrap();
    let policies = definitions["policies"].as_array().expect("policies");
    let policy = policies.iter().find(|policy| policy["pattern"] == "^email_queue$").expect("one for email_queue");
    policy["definition"].clone()
}

/// Two tasks, in a broker that takes no message, and so no move to where the broker counts anew.
async fn world_with(rabbit: &Rabbit, policy: Value) -> (World, Service) {
    let world = World::within(rabbit.vhost().await, testkit::database().await, SmtpOptions::default()).await;
    world.smtp.set_script(Script::healthy().hang_at(Stage::Content));
    world.queue_exists().await;
    world.vhost.set_policy(queue::EMAIL, policy).await;
    world.register("keyed@example.com").await;
    world.client.publish_bare(queue::EMAIL, &body("bare@example.com")).await;
    // The queues that it moves tasks to are there before the broker takes nothing more.
    let worker = world.process(&[("SEND_TIMEOUT", "60s")]);
    let sending = || world.smtp.counts().commands.get(&Stage::Content).copied().unwrap_or_default();
    eventually("both mails are being sent", PATIENCE, async || (sending() == 2).then_some(())).await;
    (world, worker)
}

/// Waits until both tasks are in the worker's hands. Asked of the queue itself: what management tells is a second old, and a worker
/// killed by that may have had nothing yet.
async fn both_delivered(client: &Client, kill: usize) {
    let delivered = async || client.is_taken(queue::EMAIL).await.then_some(());
    eventually(&format!("both tasks delivered before kill {kill}"), 2 * PATIENCE, delivered).await;
}

/// Kills the worker again and again, each time with both tasks in hand.
async fn killed_again_and_again(world: &World, worker: &Service, kills: usize) {
    // One that has not published: the broker lets it ask.
    let client = world.vhost.client().await;
    let back = async || (client.ready(queue::EMAIL).await == 2).then_some(());
    for kill in 1..=kills {
        both_delivered(&client, kill).await;
        worker.kill();
        eventually(&format!("both tasks back after kill {kill}"), 2 * PATIENCE, back).await;
        worker.restart();
    }
}

#[tokio::test]
async fn a_worker_killed_thirty_times_before_it_can_publish_loses_nothing_with_the_charts_policy() {
    let rabbit = Rabbit::start().await;
    let (world, worker) = world_with(&rabbit, policy_of_the_charts()).await;
    rabbit.memory_alarm(true).await;
    killed_again_and_again(&world, &worker, KILLS).await;
    world.smtp.set_script(Script::healthy());
    rabbit.memory_alarm(false).await;
    let has_mail = |to: &str| world.smtp.mails().iter().any(|mail| mail.to == [to]);
    eventually("both have their mail", 6 * PATIENCE, async || {
        (has_mail("keyed@example.com") && has_mail("bare@example.com")).then_some(())
    })
    .await;
    assert!(worker.terminate().await.success());
    assert_eq!(world.waiting(queue::DEAD).await, 0, "put aside");
}

/// What the test above is for: without the policy they would be gone.
#[tokio::test]
async fn with_the_limit_of_rabbitmq_4_and_nothing_else_tasks_would_be_lost() {
    let rabbit = Rabbit::start().await;
    let (world, worker) = world_with(&rabbit, json!({ "delivery-limit": KILLS_BORNE })).await;
    rabbit.memory_alarm(true).await;
    killed_again_and_again(&world, &worker, KILLS_BORNE).await;
    let client = world.vhost.client().await;
    both_delivered(&client, KILLS_BORNE + 1).await;
    worker.kill();
    let gone = async || client.is_left_empty(queue::EMAIL).await.then_some(());
    eventually("the broker has dropped both", 2 * PATIENCE, gone).await;
}

/// With the policy, even what is returned a million times is not dropped. Shown with a smaller number.
#[tokio::test]
async fn what_reaches_the_limit_of_the_policy_is_a_dead_letter() {
    let world = World::new().await;
    let worker = world.worker().await;
    let mut policy = policy_of_the_charts();
    assert_eq!(policy["delivery-limit"], 1_000_000, "out of reach");
    policy["delivery-limit"] = json!(1);
    worker.stop().await;
    world.vhost.set_policy(queue::EMAIL, policy).await;
    world.register("ada@example.com").await;
    for _ in 0..3 {
        let taker = world.vhost.client().await;
        let options = testkit::lapin::options::BasicGetOptions::default();
        let got = taker.channel().basic_get(queue::EMAIL.into(), options).await.unwrap();
        taker.close().await;
        if got.is_none() {
            break;
        }
    }
    let dead = world.dead_letter().await;
    assert_eq!(dead.body, body("ada@example.com"));
    assert_eq!(dead.header(header::DEAD_REASON), None, "no worker put it aside");
}
