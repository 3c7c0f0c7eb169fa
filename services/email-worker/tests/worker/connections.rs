//! A mail server that takes so many connections of one client and no more.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::queue;
use testkit::{Script, Stage, eventually};

use crate::helpers::{PATIENCE, Running, World};

/// What each mail takes, so that one connection takes 10 mails a second.
const EACH: Duration = Duration::from_millis(100);

/// A server that takes `limit` connections, and says so at this stage.
fn at_most(limit: usize, stage: Stage, reply: &str) -> Script {
    Script::healthy().reply(stage, reply).beyond(limit).delay(EACH)
}

fn greeting(limit: usize) -> Script {
    at_most(limit, Stage::Connect, "421 4.7.0 Too many concurrent SMTP connections; please try again later")
}

/// Waits for `mails`: `limit` connections sent them beside each other, though not the same ones all the time. How fast that
/// is, no busy machine can tell: the figure, 0.9 of what is possible, is held in the tests of the limit.
async fn all_connections_send(world: &World, mails: usize, limit: usize) {
    world.smtp.wait_for_count(mails, PATIENCE).await;
    let by: Vec<_> = world.smtp.mails().iter().take(mails).map(|mail| mail.connection).collect();
    let beside_each_other = |successive: &[_]| successive.iter().collect::<BTreeSet<_>>().len() >= limit;
    let busy = by.chunks(5 * limit).filter(|successive| beside_each_other(successive)).count();
    let all = by.chunks(5 * limit).len();
    assert!(4 * busy >= 3 * all, "{limit} connections were busy in {busy} of {all} parts of: {by:?}");
}

/// All were mailed once, at their first attempt.
async fn nothing_was_spent(world: &World, workers: Vec<Running>, mails: usize) {
    world.marked(i64::try_from(mails).unwrap()).await;
    assert_eq!(world.smtp.mails().len(), mails, "mails were repeated");
    assert_eq!(world.retrying().await, 0, "an attempt was spent");
    let mut workers = workers.into_iter();
    let last = workers.next_back().expect("a worker");
    for worker in workers {
        worker.stop().await;
    }
    world.ends_clean(last).await;
}

async fn goes_on_with(limit: usize, mails: usize, script: Script) {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", mails).await;
    world.smtp.set_script(script);
    let worker = world.worker().await;
    all_connections_send(&world, mails, limit).await;
    assert!(worker.is_sending().await, "the circuit opened");
    let refused = world.smtp.commands().iter().filter(|command| command.answer.starts_with('4')).count();
    assert!((1..=32).contains(&refused), "{refused} connections too many");
    nothing_was_spent(&world, vec![worker], mails).await;
}

#[tokio::test]
async fn four_connections_of_sixteen_slots_send_what_four_can_421_in_the_greeting() {
    goes_on_with(4, 160, greeting(4)).await;
}

#[tokio::test]
async fn four_connections_of_sixteen_slots_send_what_four_can_451_in_the_greeting() {
    goes_on_with(4, 160, at_most(4, Stage::Connect, "451 4.7.0 too many connections from your host")).await;
}

#[tokio::test]
async fn four_connections_of_sixteen_slots_send_what_four_can_451_at_mail() {
    goes_on_with(4, 160, at_most(4, Stage::Mail, "451 4.7.0 Too many concurrent connections")).await;
}

#[tokio::test]
async fn four_connections_of_sixteen_slots_send_what_four_can_though_the_server_does_not_say_why_it_refuses_others() {
    for reply in ["451 4.3.2 System not accepting network messages", "451 Please try again later", "421 4.3.2 closing"]
    {
        goes_on_with(4, 160, at_most(4, Stage::Mail, reply)).await;
    }
}

#[tokio::test]
async fn four_connections_of_sixteen_slots_send_what_four_can_421_at_mail() {
    goes_on_with(4, 160, at_most(4, Stage::Mail, "421 4.7.0 Too many concurrent connections")).await;
}

#[tokio::test]
async fn one_connection_is_enough() {
    goes_on_with(1, 60, greeting(1)).await;
}

#[tokio::test]
async fn a_server_that_hangs_up_on_one_too_many_is_no_outage() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 160).await;
    world.smtp.set_script(Script::healthy().drop_at(Stage::Connect).beyond(4).delay(EACH));
    let worker = world.worker().await;
    all_connections_send(&world, 160, 4).await;
    assert!(worker.is_sending().await, "the circuit opened");
    nothing_was_spent(&world, vec![worker], 160).await;
}

#[tokio::test]
async fn it_grows_when_the_server_takes_more() {
    let world = World::new().await;
    world.queue_exists().await;
    world.smtp.set_script(greeting(4));
    let worker = world.worker().await;
    world.register_many("before", 60).await;
    world.smtp.wait_for_count(60, PATIENCE).await;
    assert_eq!(world.smtp.counts().open, 4, "as many as it takes");
    world.smtp.set_script(Script::healthy().delay(EACH));
    world.register_many("after", 800).await;
    // The next try comes 5 s after the refusal; from then on one after the other.
    world.smtp.wait_for_count(860, PATIENCE).await;
    assert_eq!(world.smtp.counts().open, 16, "as many as there are slots");
    nothing_was_spent(&world, vec![worker], 860).await;
}

#[tokio::test]
async fn three_workers_share_the_four_connections_of_their_account() {
    let world = World::new().await;
    world.queue_exists().await;
    world.smtp.set_script(greeting(4));
    world.register_many("user", 360).await;
    let workers = vec![world.worker().await, world.worker().await, world.worker().await];
    // What a worker holds that got no connection waits until another one leaves one.
    all_connections_send(&world, 240, 4).await;
    world.smtp.wait_for_count(360, PATIENCE).await;
    nothing_was_spent(&world, workers, 360).await;
}

#[tokio::test]
async fn a_rolling_update_passes_the_limit_on() {
    let world = World::new().await;
    world.queue_exists().await;
    world.smtp.set_script(greeting(4));
    world.register_many("user", 200).await;
    let old = world.worker().await;
    world.smtp.wait_for_count(50, PATIENCE).await;
    let new = world.worker().await;
    world.smtp.wait_for_count(100, PATIENCE).await;
    old.stop().await;
    world.smtp.wait_for_count(200, PATIENCE).await;
    nothing_was_spent(&world, vec![new], 200).await;
}

#[tokio::test]
async fn a_server_that_takes_no_connection_at_all_is_an_outage_of_its_own_cause() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.falls_into(greeting(0)).await;
    world.register_many("user", 40).await;
    worker.circuit_opens("too-many-connections").await;
    world.smtp.set_script(greeting(2));
    world.smtp.wait_for_count(40, PATIENCE).await;
    worker.circuit_closes().await;
    nothing_was_spent(&world, vec![worker], 40).await;
}

#[tokio::test]
async fn a_mail_that_ends_its_conversations_is_counted_though_no_connection_can_be_opened() {
    let world = World::new().await;
    world.queue_exists().await;
    world.smtp.set_script(greeting(4));
    world.register_many("user", 40).await;
    let delay = Duration::from_secs(30);
    let worker = world.worker_with(&[("MAIL_RETRY_SCHEDULE", "30s")]).await;
    world.smtp.wait_for_count(40, PATIENCE).await;
    let full = Script::healthy().reply(Stage::Connect, "421 4.7.0 too many connections").beyond(1);
    world.smtp.set_script(full.drop_at(Stage::Data).for_recipient("bad@example.com"));
    world.register("bad@example.com").await;
    let on_the_retry_queue = async || (world.waiting(&queue::retry(delay)).await == 1).then_some(());
    eventually("its attempt is spent", PATIENCE, on_the_retry_queue).await;
    let commands = world.smtp.commands();
    let ended = commands.iter().filter(|command| command.stage == Stage::Data && command.answer == "(dropped)").count();
    assert!(ended <= 2, "{ended} conversations for one attempt");
    assert!(worker.is_sending().await, "the circuit opened");
    worker.stop().await;
}
