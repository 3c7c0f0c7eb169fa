//! MAIL_RATE, from the queue to the mail server.

use std::time::{Duration, Instant};

use crate::helpers::{PATIENCE, World};

const RATE: usize = 40;

/// The most that arrived in any second.
fn most_in_a_second(times: &[Instant]) -> usize {
    let second = Duration::from_secs(1);
    (0..times.len()).map(|at| times[at..].partition_point(|t| *t - times[at] < second)).max().unwrap_or_default()
}

#[tokio::test]
async fn a_backlog_goes_out_at_the_rate_and_no_faster() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 3 * RATE).await;
    let rate = RATE.to_string();
    let worker = world.worker_with(&[("MAIL_RATE", &rate)]).await;
    world.smtp.wait_for_mails(3 * RATE, PATIENCE).await;
    let times = world.smtp.mail_from_times();
    let most = most_in_a_second(&times);
    assert!(most <= RATE + RATE / 10, "{most} mails in one second at a rate of {RATE}");
    let took = *times.last().unwrap() - times[0];
    // A busy machine loses slots, which are forfeited; half the rate is far below anything but a mistake.
    assert!(took < Duration::from_secs(6), "{} mails took {took:?} at a rate of {RATE}", times.len());
    world.marked(i64::try_from(3 * RATE).unwrap()).await;
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
    world.smtp.wait_for_mails(2 * RATE, PATIENCE).await;
    let began = Instant::now();
    one.stop().await;
    other.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3), "drains waited for the rate: {:?}", began.elapsed());
    let times = world.smtp.mail_from_times();
    let most = most_in_a_second(&times);
    assert!(most <= RATE + RATE / 10, "{most} mails in one second at a rate of {RATE}");
    let sent = u32::try_from(world.smtp.mails().len()).unwrap();
    world.handed_back(400 - sent).await;
    assert_eq!(world.marks().await, i64::from(sent));
}
