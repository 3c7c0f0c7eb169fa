//! What waits in a worker for what it needs before MAIL: never for longer than the broker bears.

use std::time::Duration;

use contract::{header, queue};
use testkit::{Script, Stage, Taken, eventually};

use crate::helpers::{PATIENCE, Running, World};

/// The only retry queue: what has come to it stays.
const DELAY: Duration = Duration::from_secs(3600);

/// Waits until a mail has opened the circuit. On a busy machine one may be held for as long as it may be before it gets so
/// far: then another one is to.
async fn a_mail_opens_the_circuit(world: &World, worker: &Running, cause: &str) {
    world.register("ada@example.com").await;
    eventually("a mail that opens the circuit", PATIENCE, async || {
        let is_open = worker.is_held_by(cause).await;
        if !is_open && world.client.take(&queue::retry(DELAY)).await.is_some() {
            world.register("ada@example.com").await;
        }
        is_open.then_some(())
    })
    .await;
}

/// Waits until the task is on its retry queue, and takes it from there.
async fn moved_on(world: &World) -> Taken {
    eventually("the task on the first retry queue", PATIENCE, async || world.client.take(&queue::retry(DELAY)).await)
        .await
}

/// The outage of the mail server lasts longer than the limit, and is asked again and again.
async fn is_held_no_longer_than_the_limit(script: Script, cause: &str) {
    let world = World::new().await;
    let worker = world.worker_with(&[("HOLD_LIMIT", "2s"), ("MAIL_RETRY_SCHEDULE", "1h")]).await;
    world.falls_into(script).await;
    a_mail_opens_the_circuit(&world, &worker, cause).await;
    let waiting = moved_on(&world).await;
    assert_eq!(waiting.header(header::ATTEMPT), None, "an attempt was spent");
    assert_eq!(waiting.header(header::DELIVERIES).as_deref(), Some("0"), "the broker had it back meanwhile");
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn probes_that_fail_do_not_prolong_the_hold() {
    is_held_no_longer_than_the_limit(Script::healthy().drop_at(Stage::Connect), "unreachable").await;
}

#[tokio::test]
async fn mails_that_try_a_half_open_circuit_and_fail_do_not_prolong_the_hold() {
    let script = Script::healthy().reply(Stage::Mail, "550 5.7.1 not you");
    is_held_no_longer_than_the_limit(script, "sender-refused").await;
}
