//! MAIL_RATE, from the queue to the mail server.
//!
//! How even the mails come within a second is looked at where the machine's own hiccups do not count: in the tests of the
//! rate itself.

use std::time::{Duration, Instant};

use testkit::{Script, Stage};

use crate::helpers::{PATIENCE, Running, World};

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

/// When mails came, from the first on.
fn after_the_first(world: &World) -> Vec<Duration> {
    let times = world.smtp.mail_from_times();
    times.iter().map(|at| *at - times[0]).collect()
}

async fn workers(world: &World, count: usize, settings: &[(&'static str, &str)]) -> Vec<Running> {
    let mut workers = Vec::new();
    for _ in 0..count {
        workers.push(world.worker_with(settings).await);
    }
    workers
}

#[tokio::test]
async fn three_workers_at_one_a_second_send_one_a_second() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 15).await;
    // All of them wait far longer than their claims last.
    let mut workers = workers(&world, 3, &[("MAIL_RATE", "60/m"), ("SEND_TIMEOUT", "1s")]).await;
    world.smtp.wait_for_mails(15, Duration::from_secs(40)).await;
    let came = after_the_first(&world);
    let took = came[14];
    assert!(took >= Duration::from_millis(13_900), "15 mails in {took:?} are more than one a second: {came:?}");
    assert!(took <= Duration::from_millis(15_500), "15 mails took {took:?}, one a second are 14 s: {came:?}");
    world.marked(15).await;
    let last = workers.pop().expect("three workers");
    for worker in workers {
        worker.stop().await;
    }
    world.ends_clean(last).await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_a_mail_waited_costs_nothing() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 4).await;
    let worker = world.worker_with(&[("MAIL_RATE", "1/s")]).await;
    for sent in 1..3 {
        world.smtp.wait_for_mails(sent, PATIENCE).await;
        world.smtp.cut_connections().await;
    }
    world.smtp.wait_for_mails(3, PATIENCE).await;
    // Told so with a 421, as a server that tidies up does, and only at MAIL.
    world.smtp.set_script(Script::healthy().reply(Stage::Mail, "421 4.4.2 idle for too long").times(1));
    world.smtp.wait_for_mails(4, PATIENCE).await;
    let came = after_the_first(&world);
    assert!(came[3] < Duration::from_millis(4_500), "a moment was lost as well: {came:?}");
    assert_eq!(world.retrying().await, 0, "an attempt was spent");
    assert!(worker.is_sending().await, "the circuit opened");
    world.marked(4).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_server_without_patience_that_closes_what_was_opened_just_before_the_moment_costs_nothing() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 2).await;
    let worker = world.worker_with(&[("MAIL_RATE", "30/m")]).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.smtp.cut_connections().await;
    world.smtp.set_script(Script::healthy().drop_at(Stage::Mail).times(1));
    world.smtp.wait_for_mails(2, PATIENCE).await;
    let times = world.smtp.mail_from_times();
    let [_, dropped, taken] = times[..] else { panic!("not MAIL three times: {times:?}") };
    let between = taken - dropped;
    assert!(between < Duration::from_millis(1_500), "the mail lost its moment: {between:?}");
    assert_eq!(world.retrying().await, 0, "an attempt was spent");
    assert!(worker.is_sending().await, "the circuit opened");
    world.marked(2).await;
    world.ends_clean(worker).await;
}

/// The lowest holds, whichever came first; the worker that was told another one says so.
#[tokio::test]
async fn workers_that_were_told_different_rates_keep_to_the_lowest_and_say_so() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("user", 200).await;
    let fast = world.process(&[("MAIL_RATE", "50")]);
    let slow = world.process(&[("MAIL_RATE", "5")]);
    slow.ready().await;
    let line = fast.wait_for_log("MAIL_RATE differs between workers", PATIENCE).await;
    assert!(line.contains("\"level\":\"WARN\""), "{line}");
    assert!(line.contains("\"own\":\"50/s\"") && line.contains("\"holds\":\"5/s\""), "{line}");
    let before = world.smtp.mails().len();
    world.smtp.wait_for_mails(before + 30, PATIENCE).await;
    let times = world.smtp.mail_from_times();
    // The moments that were leased at the faster rate are over within a second.
    let (from, to) = (times[before + 5], times[before + 29]);
    let rate = 24.0 / (to - from).as_secs_f64();
    assert!((4.0..=5.5).contains(&rate), "{rate:.1} mails a second");
    slow.terminate().await;
    fast.wait_for_log("the MAIL_RATE of this worker holds again", PATIENCE).await;
    fast.terminate().await;
    let said = |service: &testkit::Service| {
        service.log_lines().iter().filter(|line| line.contains("MAIL_RATE differs")).count()
    };
    assert_eq!((said(&fast), said(&slow)), (1, 0));
}
