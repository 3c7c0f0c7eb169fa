//! A mail server that takes only so many mails a second.
//!
//! How close the fleet comes to what the server takes is shown where time is simulated (`rate/simulation.rs`) and measured; here
//! it is shown that nothing is spent on the way, for each form in which servers say so.

use std::time::Duration;

use testkit::{Script, Stage};

use crate::helpers::{PATIENCE, Running, World};

const SECOND: Duration = Duration::from_secs(1);
/// What the server takes a second.
const TAKEN: usize = 20;
const MAILS: usize = 140;

/// Runs workers against a server that says this when it is asked for more than it takes; returns how often it did.
async fn refusals(stage: Stage, reply: &str, settings: &[(&'static str, &str)]) -> usize {
    refusals_of(2, (TAKEN, SECOND), stage, reply, settings).await
}

/// The same of so many workers, and a server that takes so many mails in any such time.
async fn refusals_of(
    workers: usize,
    (taken, time): (usize, Duration),
    stage: Stage,
    reply: &str,
    settings: &[(&'static str, &str)],
) -> usize {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(stage, reply).above(taken, time));
    world.queue_exists().await;
    world.register_many("user", MAILS).await;
    let mut fleet = Vec::new();
    for _ in 0..workers {
        fleet.push(world.worker_with(settings).await);
    }
    let began = std::time::Instant::now();
    while world.smtp.mails().len() < MAILS {
        assert!(began.elapsed() < 3 * PATIENCE, "{reply}: {} mails of {MAILS} arrived", world.smtp.mails().len());
        assert_eq!(world.retrying().await, 0, "{reply}: a mail spent an attempt");
        for worker in &fleet {
            assert!(worker.is_sending().await, "{reply}: the circuit opened");
        }
        tokio::time::sleep(SECOND / 4).await;
    }
    let marks = i64::try_from(MAILS).unwrap();
    world.marked(marks).await;
    let refused = {
        let counts = world.smtp.counts();
        usize::try_from(counts.commands[&stage] - counts.mails).unwrap()
    };
    let last: Running = fleet.pop().expect("a worker");
    for worker in fleet {
        worker.stop().await;
    }
    world.ends_clean(last).await;
    refused
}

#[tokio::test]
async fn a_server_that_refuses_after_the_content_as_ses_does_costs_no_attempt() {
    let reply = "454 4.7.0 Throttling failure: Maximum sending rate exceeded";
    let refused = refusals(Stage::Content, reply, &[]).await;
    // What was on its way when the first one was refused, and then one now and then.
    assert!(refused <= 32 + MAILS / 10, "{refused} refusals for {MAILS} mails");
}

#[tokio::test]
async fn a_server_that_says_so_in_words_alone_costs_no_attempt() {
    let reply = "454 Throttling failure: Maximum sending rate exceeded";
    let refused = refusals(Stage::Content, reply, &[("MAIL_RATE", "2000")]).await;
    assert!(refused <= 32 + MAILS / 10, "{refused} refusals for {MAILS} mails");
}

#[tokio::test]
async fn a_server_that_says_at_mail_that_it_has_too_much_to_do_costs_no_attempt() {
    for reply in ["451 4.3.2 try again later", "452 4.3.1 insufficient system resources"] {
        let refused = refusals(Stage::Mail, reply, &[]).await;
        assert!(refused <= 32 + MAILS / 10, "{refused} refusals for {MAILS} mails");
    }
}

#[tokio::test]
async fn a_server_that_refuses_recipients_and_does_not_say_why_is_found_out_and_costs_no_attempt() {
    let refused = refusals(Stage::Rcpt, "450 4.7.1 Please try again later", &[]).await;
    assert!(refused <= 160 + MAILS / 10, "{refused} refusals for {MAILS} mails");
}

#[tokio::test]
async fn a_long_window_that_is_used_up_without_a_word_that_says_so_costs_no_attempt() {
    let reply = "450 4.7.1 <ada@example.com>: Recipient address rejected: try again later";
    // One worker: another one that comes when they are used up has never seen anybody taken.
    let refused = refusals_of(1, (70, 6 * SECOND), Stage::Rcpt, reply, &[]).await;
    // Each of those that the first window had no room for was tried out once.
    assert!(refused <= 4 * 70 + MAILS / 10, "{refused} refusals for {MAILS} mails");
}

#[tokio::test]
async fn without_learning_each_refusal_for_the_speed_spends_an_attempt() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Content, "454 4.7.0 Maximum sending rate exceeded").times(5));
    world.queue_exists().await;
    world.register_many("user", 5).await;
    let worker = world.worker_with(&[("MAIL_RATE_ADAPTS", "off"), ("MAIL_RETRY_SCHEDULE", "10s")]).await;
    testkit::eventually("five mails on the retry queues", PATIENCE, async || {
        (world.waiting(&contract::queue::retry(Duration::from_secs(10))).await == 5).then_some(())
    })
    .await;
    assert!(worker.is_sending().await, "the circuit opened");
    worker.stop().await;
}

#[tokio::test]
async fn readiness_tells_that_the_server_throttles_at_what_rate_and_why() {
    let world = World::new().await;
    let reply = "454 4.7.0 Throttling failure: Maximum sending rate exceeded";
    world.smtp.set_script(Script::healthy().reply(Stage::Content, reply).above(TAKEN, SECOND));
    world.queue_exists().await;
    world.register_many("user", MAILS).await;
    let worker = world.worker().await;
    let told = worker.says("throttled, and ready", |status, body| {
        let sending = &body["components"]["sending"];
        let says = |part: &str| sending["reason"].as_str().is_some_and(|reason| reason.contains(part));
        status == 200 && sending["status"] == "up" && says("throttled") && says("/s is in force") && says(reply)
    });
    told.await;
    world.smtp.wait_for_mails(MAILS, PATIENCE).await;
    world.marked(i64::try_from(MAILS).unwrap()).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn greylisting_of_half_the_recipients_slows_nobody_else() {
    let world = World::new().await;
    let mut script = Script::healthy();
    for n in (0..100).step_by(2) {
        // Longer than any trial, and without a word that says what it is.
        script = script
            .reply(Stage::Rcpt, "450 4.7.1 Please try again later")
            .for_recipient(&format!("user-{n}@example.com"))
            .times(4);
    }
    world.smtp.set_script(script);
    world.queue_exists().await;
    let began = std::time::Instant::now();
    world.register_many("user", 100).await;
    let worker = world.worker_with(&[("MAIL_RETRY_SCHEDULE", "1s,3s")]).await;
    world.smtp.wait_for_mails(50, PATIENCE).await;
    let good = began.elapsed();
    world.smtp.wait_for_mails(100, PATIENCE).await;
    println!("the good ones in {good:?}, all in {:?}", began.elapsed());
    // One trial, once.
    assert!(good < Duration::from_secs(8), "the good ones took {good:?}");
    world.marked(100).await;
    world.ends_clean(worker).await;
}

/// A real fleet of each size against a server that takes 14 a second: what it gets from the second minute on, and refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; three minutes"]
async fn bench_throttled_fleets() {
    let fleets = [1, 3, 10].map(|workers| async move {
        let world = World::new().await;
        let script = Script::healthy().reply(Stage::Content, "454 4.7.0 Throttling failure: Maximum sending rate exceeded");
        world.smtp.set_script(script.above(14, SECOND));
        world.queue_exists().await;
        world.register_many("user", 14 * 180).await;
        let mut fleet = Vec::new();
        for _ in 0..workers {
            fleet.push(world.worker_with(&[]).await);
        }
        let began = std::time::Instant::now();
        let mut opened = 0;
        while began.elapsed() < 150 * SECOND {
            tokio::time::sleep(SECOND).await;
            for worker in &fleet {
                opened += u32::from(!worker.is_sending().await);
            }
        }
        let mails = world.smtp.mails();
        let second_minute = |at: std::time::Instant| (60..150).contains(&at.duration_since(began).as_secs());
        let taken = world.smtp.arrivals().iter().filter(|arrival| second_minute(arrival.at)).count();
        let counts = world.smtp.counts();
        let refused = counts.commands[&Stage::Content] - counts.mails;
        println!(
            "{workers} workers: {:.3} of 14 a second from the second minute on, {refused} refused of {} mails, {} on the \
             retry queues, circuit seen open {opened} times",
            taken as f64 / (14.0 * 90.0),
            mails.len(),
            world.retrying().await,
        );
    });
    futures_util::future::join_all(fleets).await;
}
