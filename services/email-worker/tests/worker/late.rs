//! The answer to the dot that comes late, or never: RFC 5321, 4.5.3.2.6, and docs/decisions on outcomes that nobody knows.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use contract::{TaskId, header, queue};
use testkit::{Script, Stage, eventually};

use crate::helpers::{PATIENCE, World, registration};

const REASON: &str = "outcome-unknown";

fn contents(world: &World) -> u64 {
    world.smtp.counts().commands.get(&Stage::Content).copied().unwrap_or_default()
}

async fn contents_reach(world: &World, mails: u64) {
    let what = format!("{mails} contents, up to the dot");
    eventually(&what, PATIENCE, async || (contents(world) >= mails).then_some(())).await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_limit_costs_one_repeat_and_then_a_dead_letter_that_says_so() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(2)));
    let worker = world.worker_with(&[("SMTP_DATA_TIMEOUT", "1s"), ("SEND_TIMEOUT", "1s")]).await;
    let id = world.register("ada@example.com").await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some(REASON));
    assert_eq!(dead.message_id(), Some(id.to_string().as_str()));
    assert_eq!(dead.header("x-unknown-outcomes").as_deref(), Some("2"), "counted with the last one");
    let detail = dead.header(header::DEAD_DETAIL).unwrap();
    assert!(detail.contains("may have been sent"), "{detail}");
    world.smtp.wait_for_mails(2, PATIENCE).await;
    assert!(worker.is_sending().await, "one mail is no outage");
    world.ends_clean(worker).await;
    assert_eq!(contents(&world), 2, "copies of one mail");
}

#[tokio::test]
async fn how_often_it_is_repeated_is_a_setting() {
    for (repeats, copies) in [("0", 1), ("2", 3)] {
        let world = World::new().await;
        world.smtp.set_script(Script::healthy().accept_then_drop());
        let worker = world.worker_with(&[("MAIL_UNKNOWN_REPEATS", repeats)]).await;
        world.register("ada@example.com").await;
        let dead = world.dead_letter().await;
        assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some(REASON), "{repeats} repeats");
        world.ends_clean(worker).await;
        assert_eq!(world.smtp.mails().len(), copies, "{repeats} repeats");
    }
}

#[tokio::test]
async fn within_its_limit_the_answer_is_waited_for_however_short_send_timeout_is() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(3)));
    let worker = world.worker_with(&[("SEND_TIMEOUT", "500ms"), ("SMTP_DATA_TIMEOUT", "20s")]).await;
    world.register("ada@example.com").await;
    world.marked(1).await;
    assert_eq!(world.smtp.mails().len(), 1);
    world.ends_clean(worker).await;
    assert_eq!(contents(&world), 1, "copies of one mail");
}

#[tokio::test]
async fn a_claim_outlives_its_lease_while_the_answer_is_waited_for() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(5)));
    // A lease of 1.5 s.
    let patient = [("SEND_TIMEOUT", "500ms"), ("SMTP_DATA_TIMEOUT", "20s")];
    let first = world.worker_with(&patient).await;
    let id = TaskId::new();
    world.publish("ada@example.com", registration(id)).await;
    contents_reach(&world, 1).await;
    let second = world.worker_with(&patient).await;
    // Some to each worker: one attaches, the other looks at the claim, again and again.
    for _ in 0..6 {
        world.publish("ada@example.com", registration(id)).await;
    }
    world.marked(1).await;
    second.stop().await;
    world.ends_clean(first).await;
    assert_eq!(contents(&world), 1, "copies of one mail");
}

#[tokio::test]
async fn when_hardly_any_mail_is_answered_the_circuit_opens_and_one_mail_at_a_time_tries_it() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().hang_at(Stage::Content));
    world.queue_exists().await;
    world.register_many("user", 40).await;
    let worker = world.worker_with(&[("SMTP_DATA_TIMEOUT", "500ms"), ("SENDING_SLOTS", "5")]).await;
    worker.circuit_opens("no-answer-after-data").await;
    contents_reach(&world, 7).await;
    worker.circuit_opens("no-answer-after-data").await;
    assert!(contents(&world) < 20, "{} mails tried it: no more than one at a time may", contents(&world));
    world.smtp.set_script(Script::healthy());
    let people = || world.smtp.mails().iter().flat_map(|mail| mail.to.clone()).collect::<BTreeSet<_>>().len();
    eventually("40 people have their mail", PATIENCE, async || (people() == 40).then_some(())).await;
    worker.circuit_closes().await;
    world.marked(40).await;
    // None was burnt: each had its one repeat left.
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_drain_waits_for_the_answer_as_long_as_its_grace_allows() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(3)));
    let worker = world.worker_with(&[("SEND_TIMEOUT", "1s"), ("SMTP_DATA_TIMEOUT", "20s")]).await;
    world.register("ada@example.com").await;
    contents_reach(&world, 1).await;
    world.ends_clean(worker).await;
    assert_eq!(world.marks().await, 1);
}

#[tokio::test]
async fn what_the_grace_cuts_off_after_the_dot_is_counted_before_the_worker_ends() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().hang_at(Stage::Content));
    let changes = [
        ("SMTP_DATA_TIMEOUT", "60s"),
        ("SHUTDOWN_GRACE", "10s"),
        ("MAIL_RETRY_SCHEDULE", "1h"),
        ("SENDING_SLOTS", "4"),
    ];
    let worker = world.worker_with(&changes).await;
    world.register_many("user", 4).await;
    contents_reach(&world, 4).await;
    let began = Instant::now();
    worker.stop().await;
    assert!(began.elapsed() < Duration::from_secs(20), "longer than the grace: {:?}", began.elapsed());
    let retry_queue = queue::retry(Duration::from_secs(3600));
    assert_eq!(world.waiting(&retry_queue).await, 4, "repeats on the retry queue");
    assert_eq!(world.waiting(queue::EMAIL).await, 0, "a repeat that is not counted");
    let repeat = world.client.take(&retry_queue).await.unwrap();
    assert_eq!(repeat.header("x-unknown-outcomes").as_deref(), Some("1"));

    // The count holds for the next worker.
    let next = world.worker_with(&[("SMTP_DATA_TIMEOUT", "500ms"), ("MAIL_RETRY_SCHEDULE", "1h")]).await;
    world.client.publish(queue::EMAIL, &repeat.body, repeat.properties).await;
    assert_eq!(world.dead_letter().await.header(header::DEAD_REASON).as_deref(), Some(REASON));
    next.stop().await;
}
