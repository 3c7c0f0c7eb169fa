//! One recipient's trouble is not everyone's: what is refused is judged by domain.

use std::time::Duration;

use contract::queue;
use futures_util::StreamExt as _;
use testkit::{Script, Stage, eventually};

use crate::helpers::{PATIENCE, Running, World};

const POLICY: &str = "550 5.7.1 not from you";

/// Publishes a task for each address, about in this order.
async fn publish(world: &World, addresses: Vec<String>) {
    let publishing = futures_util::stream::iter(addresses).map(|address| async move {
        world.register(&address).await;
    });
    publishing.buffered(50).collect::<Vec<()>>().await;
}

/// Of `count` addresses, `bad` of each twenty where `bad_domain` says, the others at a few good domains.
fn mixed(count: usize, bad: usize, bad_domain: impl Fn(usize) -> String) -> Vec<String> {
    let address = |n: usize| match n * 7 % 20 < bad {
        true => format!("user-{n}@{}", bad_domain(n)),
        false => format!("user-{n}@good-{}.example", n % 3),
    };
    (0..count).map(address).collect()
}

/// All good mails arrive, each bad one is put aside at its first try, and the circuit has nothing to do with it.
async fn only_the_bad_suffer(bad: usize, bad_domain: impl Fn(usize) -> String, stage: Stage, reply: &str) {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(stage, reply).for_domain("bad.example"));
    world.queue_exists().await;
    publish(&world, mixed(400, bad, bad_domain)).await;
    let worker = world.worker_with(&[("SENDING_SLOTS", "4")]).await;
    let good = 400 / 20 * (20 - bad);
    world.smtp.wait_for_mails(good, PATIENCE).await;
    let put_aside = u32::try_from(400 - good).unwrap();
    let all = async || (world.waiting(queue::DEAD).await == put_aside).then_some(());
    eventually("the others are put aside", PATIENCE, all).await;
    assert!(worker.is_sending().await, "one domain opened the circuit");
    assert_eq!(world.smtp.mail_from_times().len(), 400, "a mail was tried twice");
    ends_with_dead_letters(&world, worker).await;
}

async fn ends_with_dead_letters(world: &World, worker: Running) {
    while world.client.take(queue::DEAD).await.is_some() {}
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn four_in_five_refused_at_one_domain_hold_up_nobody_else() {
    only_the_bad_suffer(16, |_| "bad.example".to_owned(), Stage::Rcpt, POLICY).await;
}

#[tokio::test]
async fn nineteen_in_twenty_refused_at_one_domain_hold_up_nobody_else() {
    only_the_bad_suffer(19, |_| "bad.example".to_owned(), Stage::Rcpt, POLICY).await;
}

#[tokio::test]
async fn nine_in_ten_refused_after_data_at_one_domain_hold_up_nobody_else() {
    only_the_bad_suffer(18, |_| "bad.example".to_owned(), Stage::Content, POLICY).await;
}

#[tokio::test]
async fn a_flood_of_domains_that_do_not_exist_holds_up_nobody() {
    only_the_bad_suffer(19, |n| format!("d{n}.bad.example"), Stage::Rcpt, "550 5.1.2 Host unknown").await;
}

#[tokio::test]
async fn behind_greylisting_every_mail_arrives_within_its_first_two_retries() {
    for reply in ["450 4.2.0 later", "450 4.7.1 Greylisted, see http://example.org/help"] {
        let world = World::new().await;
        world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, reply).times_each(2));
        world.queue_exists().await;
        publish(&world, (0..400).map(|n| format!("user-{n}@d{}.example", n % 40)).collect()).await;
        let worker = world.worker_with(&[("SENDING_SLOTS", "4")]).await;
        world.smtp.wait_for_mails(400, PATIENCE).await;
        assert!(worker.is_sending().await, "{reply}: the circuit opened");
        assert_eq!(world.smtp.mail_from_times().len(), 1_200, "{reply}: three tries of each");
        world.marked(400).await;
        world.ends_clean(worker).await;
    }
}

#[tokio::test]
async fn a_server_that_greylists_for_a_time_is_served_at_the_speed_of_the_retry_schedule() {
    let world = World::new().await;
    let reply = "450 4.7.1 Greylisted, please try again in a while";
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, reply).at_first(Duration::from_secs(2)));
    world.queue_exists().await;
    publish(&world, (0..400).map(|n| format!("user-{n}@d{}.example", n % 40)).collect()).await;
    // A tenth of the defaults, and of the twenty seconds that such servers often take.
    let worker = world.worker_with(&[("MAIL_RETRY_SCHEDULE", "500ms,3s,1h")]).await;
    world.smtp.wait_for_mails(400, PATIENCE).await;
    assert!(worker.is_sending().await, "the circuit opened");
    let tries = world.smtp.mail_from_times().len();
    assert!(tries <= 1_200, "{tries} tries of 400 mails: more than the first and two retries");
    world.marked(400).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_domain_that_alone_finds_us_too_fast_slows_nobody_else() {
    let world = World::new().await;
    let reply = "421 4.7.28 Our system has detected an unusual rate of unsolicited mail";
    world.smtp.set_script(Script::healthy().reply(Stage::Content, reply).for_domain("bad.example"));
    world.queue_exists().await;
    publish(&world, mixed(400, 4, |_| "bad.example".to_owned())).await;
    let worker = world.worker_with(&[("SENDING_SLOTS", "4"), ("MAIL_RETRY_SCHEDULE", "1h")]).await;
    world.smtp.wait_for_mails(320, PATIENCE).await;
    let retry_queue = queue::retry(Duration::from_secs(3_600));
    let put_off = async || (world.waiting(&retry_queue).await == 80).then_some(());
    eventually("the others are put off by their own schedule", PATIENCE, put_off).await;
    assert!(worker.is_sending().await, "the circuit opened");
    worker.stop().await;
}

#[tokio::test]
async fn half_of_them_refused_for_now_for_ever_hold_up_nobody_else() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "450 4.2.0 later").for_domain("bad.example"));
    world.queue_exists().await;
    publish(&world, mixed(200, 10, |n| format!("d{n}.bad.example"))).await;
    let worker = world.worker_with(&[("MAIL_GIVE_UP_AFTER", "1s"), ("SENDING_SLOTS", "4")]).await;
    world.smtp.wait_for_mails(100, PATIENCE).await;
    let all = async || (world.waiting(queue::DEAD).await == 100).then_some(());
    eventually("the others are given up by their own schedule", PATIENCE, all).await;
    assert!(worker.is_sending().await, "the circuit opened");
    ends_with_dead_letters(&world, worker).await;
}

#[tokio::test]
async fn a_server_that_refuses_everyone_is_left_alone_and_goes_on_with_the_first_that_it_takes() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, POLICY));
    world.queue_exists().await;
    publish(&world, (0..60).map(|n| format!("user-{n}@d{}.bad.example", n % 10)).collect()).await;
    let worker = world.worker_with(&[("SENDING_SLOTS", "1"), ("MAIL_RETRY_SCHEDULE", "1h")]).await;
    worker.circuit_opens("everyone-refused").await;
    // Judged as it was until then; from here on the server's word counts no more than for an attempt.
    let all_dead = async || (world.waiting(queue::DEAD).await == 20).then_some(());
    eventually("twenty are put aside", PATIENCE, all_dead).await;
    let tried = || world.smtp.mail_from_times().len();
    eventually("others try it", PATIENCE, async || (tried() >= 25).then_some(())).await;
    worker.circuit_opens("everyone-refused").await;
    // Most domains refuse as before: whoever tries it by turns would find one of these nine times in ten.
    world.smtp.set_script((1..10).fold(Script::healthy(), |script, n| {
        script.reply(Stage::Rcpt, POLICY).for_domain(&format!("d{n}.bad.example"))
    }));
    worker.circuit_closes().await;
    eventually("the good ones arrive", PATIENCE, async || (!world.smtp.mails().is_empty()).then_some(())).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_spends_no_attempt_and_is_let_be() {
    let world = World::new().await;
    let reply = "454 Throttling failure: Daily message quota exceeded";
    world.smtp.set_script(Script::healthy().reply(Stage::Content, reply));
    world.queue_exists().await;
    world.register_many("user", 50).await;
    let worker = world.worker_with(&[("SENDING_SLOTS", "4")]).await;
    worker.circuit_opens("quota-used-up").await;
    // Longer than other outages are left alone for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.smtp.mail_from_times().len() <= 4, "{} mails", world.smtp.mail_from_times().len());
    assert_eq!((world.retrying().await, world.waiting(queue::DEAD).await), (0, 0), "an attempt was spent");
    worker.stop().await;
    world.handed_back(50).await;
}
