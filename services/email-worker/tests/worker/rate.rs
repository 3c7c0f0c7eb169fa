//! MAIL_RATE, from the queue to the mail server.
//!
//! How even the mails come within a second is looked at where the machine's own hiccups do not count: in the tests of the
//! rate itself.

use std::time::{Duration, Instant};

use crate::helpers::{PATIENCE, World};

const RATE: u32 = 40;

/// How long this many mails take at the rate, the first at once.
fn due(mails: usize) -> Duration {
    Duration::from_secs_f64((mails as f64 - 1.0) / f64::from(RATE))
}

#[tokio::test]
async fn a_backlog_goes_out_at_the_rate_and_no_faster() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 120).await;
    let worker = world.worker_with(&[("MAIL_RATE", &RATE.to_string())]).await;
    world.smtp.wait_for_mails(120, PATIENCE).await;
    let times = world.smtp.mail_from_times();
    let took = *times.last().unwrap() - times[0];
    assert!(took >= due(120).mul_f64(0.95), "120 mails in {took:?} are more than {RATE} a second");
    world.marked(120).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn two_workers_share_the_rate_and_a_drain_does_not_wait_for_slots() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 400).await;
    let rate = RATE.to_string();
    let (one, other) =
        (world.worker_with(&[("MAIL_RATE", &rate)]).await, world.worker_with(&[("MAIL_RATE", &rate)]).await);
    world.smtp.wait_for_mails(80, PATIENCE).await;
    let began = Instant::now();
    one.stop().await;
    other.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "drains waited for the rate: {:?}", began.elapsed());
    let times = world.smtp.mail_from_times();
    let took = *times.last().unwrap() - times[0];
    assert!(took >= due(times.len()).mul_f64(0.95), "{} mails in {took:?} are more than {RATE} a second", times.len());
    let sent = u32::try_from(world.smtp.mails().len()).unwrap();
    world.handed_back(400 - sent).await;
    assert_eq!(world.marks().await, i64::from(sent));
}
