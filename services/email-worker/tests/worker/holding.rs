//! What waits in a worker for what it needs before MAIL: never for longer than the broker bears.

use std::time::Duration;

use contract::{header, queue};
use testkit::{Mood, Stage, Taken, eventually};

use crate::helpers::{PATIENCE, World};

/// Waits until the task is on its rung, and takes it from there.
async fn moved_on(world: &World) -> Taken {
    let rung = queue::retry(Duration::from_secs(3600));
    eventually("the task on the first rung", PATIENCE, async || world.client.take(&rung).await).await
}

/// The mail server stays ill for longer than the limit, and is asked again and again.
async fn is_held_no_longer_than_the_limit(mood: Mood, cause: &str) {
    let world = World::new().await;
    let worker = world.worker_with(&[("HOLD_LIMIT", "2s"), ("MAIL_RETRY_LADDER", "1h")]).await;
    world.falls_into(mood).await;
    world.register("ada@example.com").await;
    worker.circuit_opens(cause).await;
    let waiting = moved_on(&world).await;
    assert_eq!(waiting.header(header::ATTEMPT), None, "an attempt was spent");
    assert_eq!(waiting.header(header::DELIVERIES).as_deref(), Some("0"), "the broker had it back meanwhile");
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn probes_that_fail_do_not_prolong_the_hold() {
    is_held_no_longer_than_the_limit(Mood::healthy().drop_at(Stage::Connect), "unreachable").await;
}

#[tokio::test]
async fn mails_that_try_a_half_open_circuit_and_fail_do_not_prolong_the_hold() {
    let mood = Mood::healthy().reply(Stage::Mail, "550 5.7.1 not you");
    is_held_no_longer_than_the_limit(mood, "sender-refused").await;
}
