//! The mail server's answers to one mail: "What a mail server's answer means" in docs/architecture.md, from RCPT on.

use std::time::Duration;

use contract::{header, queue};
use testkit::{Script, Stage, Taken, eventually};

use crate::helpers::{PATIENCE, Running, World};

/// Retry queues on which a task stays for as long as the test looks at it.
const LONG_SCHEDULE: (&str, &str) = ("MAIL_RETRY_SCHEDULE", "1h,2h");
const FIRST: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(7200);

async fn patient_worker(world: &World) -> Running {
    world.worker_with(&[LONG_SCHEDULE, ("SEND_TIMEOUT", "500ms"), ("SENDING_SLOTS", "4")]).await
}

/// Whom a task of a table is for: each row has a recipient of its own.
fn recipient(row: usize) -> String {
    format!("row-{row}@example.com")
}

/// Takes what is on a retry queue, as soon as `count` are there; sorted by recipient.
async fn take_from(world: &World, queue: &str, count: usize) -> Vec<(String, Taken)> {
    let mut taken = Vec::new();
    let what = format!("{count} tasks in {queue}");
    eventually(&what, PATIENCE, async || {
        while let Some(task) = world.client.take(queue).await {
            let body: serde_json::Value = serde_json::from_slice(&task.body).unwrap();
            taken.push((body["email"].as_str().unwrap().to_owned(), task));
        }
        (taken.len() >= count).then_some(())
    })
    .await;
    taken.sort_by(|a, b| a.0.cmp(&b.0));
    taken
}

/// That nothing happened to the circuit: a healthy mail goes at once.
async fn a_healthy_mail_passes(world: &World, worker: &Running) {
    assert!(worker.is_sending().await, "the circuit opened: {:?}", worker.readyz().await);
    let before = world.smtp.mails().len();
    world.register("healthy@example.com").await;
    world.smtp.wait_for_mails(before + 1, PATIENCE).await;
}

#[tokio::test]
async fn a_mail_refused_for_now_goes_to_the_first_retry_queue_one_attempt_richer() {
    let world = World::new().await;
    let table = [
        (Stage::Rcpt, "450 4.2.0 later"),
        (Stage::Rcpt, "451 4.7.1 greylisted"),
        (Stage::Rcpt, "452 4.2.2 mailbox full"),
        (Stage::Rcpt, "450 4.2.1 The user you are trying to contact is receiving mail too quickly"),
        (Stage::Data, "451 4.3.0 try again"),
        (Stage::Data, "452 4.3.1 no space"),
        (Stage::Content, "451 4.3.0 try again"),
        (Stage::Content, "452 4.3.1 no space"),
    ];
    let script = table.iter().enumerate().fold(Script::healthy(), |script, (row, (stage, reply))| {
        script.reply(*stage, reply).for_recipient(&recipient(row))
    });
    world.smtp.set_script(script);
    let worker = patient_worker(&world).await;
    for row in 0..table.len() {
        world.register(&recipient(row)).await;
    }
    let waiting = take_from(&world, &queue::retry(FIRST), table.len()).await;
    for (row, (to, task)) in waiting.iter().enumerate() {
        assert_eq!((to, task.header(header::ATTEMPT).as_deref()), (&recipient(row), Some("1")), "{:?}", table[row]);
        assert!(task.header(header::FIRST_FAILED_AT).is_some(), "{:?}", table[row]);
    }
    a_healthy_mail_passes(&world, &worker).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_conversation_that_breaks_off_costs_an_attempt_when_the_server_greets_again() {
    let world = World::new().await;
    let closing = "421 4.3.2 closing";
    let script = Script::healthy()
        .reply(Stage::Rcpt, closing)
        .for_recipient(&recipient(0))
        .reply(Stage::Data, closing)
        .for_recipient(&recipient(1))
        .reply(Stage::Content, closing)
        .for_recipient(&recipient(2))
        .drop_at(Stage::Rcpt)
        .for_recipient(&recipient(3))
        .drop_at(Stage::Data)
        .for_recipient(&recipient(4))
        .drop_at(Stage::Content)
        .for_recipient(&recipient(5))
        .hang_at(Stage::Rcpt)
        .for_recipient(&recipient(6))
        .hang_at(Stage::Data)
        .for_recipient(&recipient(7))
        .hang_at(Stage::Content)
        .for_recipient(&recipient(8));
    world.smtp.set_script(script);
    let worker = patient_worker(&world).await;
    for row in 0..9 {
        world.register(&recipient(row)).await;
    }
    let waiting = take_from(&world, &queue::retry(FIRST), 9).await;
    for (row, (to, task)) in waiting.iter().enumerate() {
        assert_eq!((to, task.header(header::ATTEMPT).as_deref()), (&recipient(row), Some("1")), "row {row}");
    }
    a_healthy_mail_passes(&world, &worker).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_mail_refused_for_good_is_a_dead_letter_with_the_reason() {
    let world = World::new().await;
    let table = [
        (Stage::Rcpt, "550 5.1.1 no such user", "user-unknown"),
        (Stage::Rcpt, "550 5.7.1 not from you", "policy-violation"),
        (Stage::Rcpt, "554 5.7.1 blocked using zen.spamhaus.org", "blocked"),
        (Stage::Rcpt, "550", "recipient-refused"),
        (Stage::Rcpt, "552 5.2.2 mailbox full", "mailbox-full"),
        (Stage::Data, "554 no", "content-refused"),
        (Stage::Content, "550 5.7.1 spam", "spam-detected"),
        (Stage::Content, "552 5.2.2 mailbox full", "mailbox-full"),
        (Stage::Content, "552 5.3.4 too big", "mail-too-large"),
    ];
    let script = table.iter().enumerate().fold(Script::healthy(), |script, (row, (stage, reply, _))| {
        script.reply(*stage, reply).for_recipient(&recipient(row))
    });
    world.smtp.set_script(script);
    let worker = patient_worker(&world).await;
    for row in 0..table.len() {
        world.register(&recipient(row)).await;
    }
    let dead = take_from(&world, queue::DEAD, table.len()).await;
    for (row, (to, task)) in dead.iter().enumerate() {
        let (_, reply, reason) = table[row];
        assert_eq!((to, task.header(header::DEAD_REASON).as_deref()), (&recipient(row), Some(reason)), "{reply}");
        assert_eq!(task.header(header::ATTEMPT).as_deref(), Some("1"), "{reply}: one attempt was made");
        let detail = task.header(header::DEAD_DETAIL).unwrap();
        assert!(detail.contains(&reply[..3]) && !detail.contains("example.com"), "{reply}: {detail}");
        assert!(task.header(header::DEAD_AT).is_some());
    }
    a_healthy_mail_passes(&world, &worker).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn each_failure_climbs_a_retry_queue_and_the_last_is_repeated_until_time_is_up() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "450 4.2.0 later"));
    let worker = world.worker_with(&[("MAIL_GIVE_UP_AFTER", "2s")]).await;
    let id = world.register("ada@example.com").await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("gave-up"));
    assert_eq!(dead.message_id(), Some(id.to_string().as_str()));
    let attempts: usize = dead.header(header::ATTEMPT).unwrap().parse().unwrap();
    let times: Vec<_> = world.smtp.mail_from_times();
    assert_eq!(times.len(), attempts);
    let waits: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] >= Duration::from_millis(190), "the first retry queue holds for 200 ms: {waits:?}");
    for wait in &waits[1..] {
        assert!(*wait >= Duration::from_millis(490), "the second retry queue, repeated, holds for 500 ms: {waits:?}");
    }
    let whole = *times.last().unwrap() - times[0];
    assert!(whole >= Duration::from_secs(1), "given up long before MAIL_GIVE_UP_AFTER: {whole:?}");
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_greylisted_mail_arrives_on_its_third_attempt() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().greylisting(2));
    let worker = world.worker().await;
    world.register("ada@example.com").await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    assert_eq!(world.smtp.mail_from_times().len(), 3);
    world.marked(1).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn the_second_failure_waits_on_the_second_retry_queue_since_the_first() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "450 4.2.0 later"));
    let worker = patient_worker(&world).await;
    world.register("ada@example.com").await;
    let (_, failed) = take_from(&world, &queue::retry(FIRST), 1).await.remove(0);
    let since = failed.header(header::FIRST_FAILED_AT);
    world.client.publish(queue::EMAIL, &failed.body, failed.properties).await;
    let (_, again) = take_from(&world, &queue::retry(SECOND), 1).await.remove(0);
    assert_eq!(again.header(header::ATTEMPT).as_deref(), Some("2"));
    assert_eq!(again.header(header::FIRST_FAILED_AT), since);
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_mail_that_breaks_every_connection_stops_no_other_and_is_put_aside() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().drop_at(Stage::Content).for_recipient("poison@example.com"));
    let worker = world.worker_with(&[("SENDING_SLOTS", "2")]).await;
    world.register("poison@example.com").await;
    world.register_many("healthy", 40).await;
    world.smtp.wait_for_mails(40, PATIENCE).await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("outcome-unknown"));
    assert!(worker.is_sending().await, "one mail that breaks off opened the circuit");
    world.marked(40).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 40);
}
