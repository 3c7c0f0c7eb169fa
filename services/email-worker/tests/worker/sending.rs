//! What operators ask of a fleet that runs: pauses and limits, and the commands that ask.

use std::time::Duration;

use contract::queue;
use serde_json::Value;
use testkit::{Script, Stage, eventually};

use crate::commands::run;
use crate::helpers::{PATIENCE, World};

/// Nothing was there that one would have to wait for: enough for a mail to be sent, were it sent.
const A_WHILE: Duration = Duration::from_millis(500);

impl World {
    /// `email-worker sending` with these arguments.
    pub(crate) async fn sending(&self, arguments: &[&str]) -> (i32, Vec<String>) {
        let environment = [("DATABASE_URL", self.database.url().to_owned()), ("USER", "grace".to_owned())];
        run(&[&["sending"], arguments].concat(), &environment).await
    }

    async fn asks(&self, arguments: &[&str]) {
        let (code, lines) = self.sending(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {lines:?}");
    }

    fn sent(&self) -> usize {
        self.smtp.mails().len()
    }
}

fn objects(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn a_paused_fleet_sends_nothing_and_goes_on_where_it_was() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay_at(Stage::Data, Duration::from_millis(100)));
    let worker = world.worker_with(&[("SENDING_SLOTS", "2"), ("PREFETCH_MAX", "8")]).await;
    world.register_many("user", 100).await;
    world.smtp.wait_for_mails(5, PATIENCE).await;
    world.asks(&["pause", "--reason", "the provider asked"]).await;
    // Those under way are finished.
    eventually("nothing is sent any more", PATIENCE, async || {
        let before = world.sent();
        tokio::time::sleep(A_WHILE).await;
        (world.sent() == before).then_some(())
    })
    .await;
    let sent = world.sent();
    assert!(sent < 100, "all were sent before the pause");
    assert!(worker.is_sending().await, "the circuit is another matter");

    world.asks(&["resume"]).await;
    world.smtp.wait_for_mails(100, PATIENCE).await;
    world.marked(100).await;
    assert_eq!(world.sent(), 100, "each once");
    assert!(world.smtp.mails().iter().all(|mail| mail.header("X-Attempt").is_none()));
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_pause_holds_for_a_worker_that_starts_later_and_ends_by_itself() {
    let world = World::new().await;
    world.asks(&["pause", "--for", "4s"]).await;
    world.queue_exists().await;
    world.register_many("user", 3).await;
    let began = std::time::Instant::now();
    let worker = world.worker().await;
    world.smtp.wait_for_mails(3, PATIENCE).await;
    assert!(began.elapsed() > Duration::from_secs(2), "not before the pause was over: {:?}", began.elapsed());
    assert_eq!(world.sending(&["resume"]).await.0, 1, "it was over");
    world.marked(3).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_mail_that_waits_for_its_moment_is_held_by_a_pause() {
    let world = World::new().await;
    let worker = world.worker_with(&[("MAIL_RATE", "20/m")]).await;
    world.register_many("user", 3).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.asks(&["pause"]).await;
    // The next moment of the rate, in three seconds, is over by then.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.sent(), 1);
    world.asks(&["limit", "0"]).await;
    world.asks(&["resume"]).await;
    world.smtp.wait_for_mails(3, PATIENCE).await;
    world.marked(3).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_limit_stands_in_place_of_mail_rate_higher_or_lower_and_at_once() {
    let world = World::new().await;
    let worker = world.worker_with(&[("MAIL_RATE", "1/h")]).await;
    world.register_many("user", 100).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.asks(&["limit", "40/s"]).await;
    world.smtp.wait_for_mails(100, PATIENCE).await;
    let times = world.smtp.mail_from_times();
    let took = times[99] - times[1];
    assert!(took >= Duration::from_secs_f64(98.0 / 40.0 * 0.95), "99 mails in {took:?} are more than 40 a second");
    assert!(took <= Duration::from_secs(8), "99 mails took {took:?} at 40 a second");

    world.asks(&["unlimit"]).await;
    // What MAIL_RATE says holds again, and its next moment is an hour off.
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.register_many("later", 5).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(world.sent() <= 101, "{} mails at one an hour", world.sent());
    worker.stop().await;
}

#[tokio::test]
async fn what_holds_is_shown_with_who_and_why_and_what_was_done_is_kept() {
    let world = World::new().await;
    let (code, lines) = world.sending(&["show"]).await;
    assert_eq!((code, lines.len()), (0, 1), "{lines:?}");
    assert_eq!(world.sending(&["show", "--json"]).await, (0, vec![]));

    world.asks(&["limit", "2000/h", "--domain", "GMail.com", "--reason", "they throttle"]).await;
    world.asks(&["pause", "--type", "shop.receipt", "--for", "1h"]).await;
    world.asks(&["pause"]).await;
    let (_, lines) = world.sending(&["show", "--json"]).await;
    let held = objects(&lines);
    let scopes: Vec<_> = held.iter().map(|control| control["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["fleet", "type:shop.receipt", "domain:gmail.com"]);
    assert_eq!((&held[2]["rate"], &held[2]["reason"]), (&"33.3/m".into(), &"they throttle".into()));
    assert_eq!((&held[1]["by"], held[1]["until"].is_string()), (&"grace".into(), true));
    let (_, lines) = world.sending(&["show"]).await;
    assert!(lines[0].starts_with("SCOPE") && lines[1].contains("paused"), "{lines:?}");

    world.asks(&["resume", "--by", "ada"]).await;
    assert_eq!(world.sending(&["resume"]).await.0, 1);
    assert_eq!(world.sending(&["unlimit", "--domain", "example.com"]).await.0, 1, "never was");
    let (_, lines) = world.sending(&["history", "--json"]).await;
    let done: Vec<_> = objects(&lines)
        .iter()
        .map(|action| ["action", "object", "by"].map(|key| action[key].as_str().unwrap().to_owned()).join(" "))
        .collect();
    let expected =
        ["resume fleet ada", "pause fleet grace", "pause type:shop.receipt grace", "limit domain:gmail.com grace"];
    assert_eq!(done, expected);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_line() {
    let world = World::new().await;
    for (arguments, says) in [
        (&["limit", "fast"][..], "not a rate"),
        (&["limit", "5/s", "--domain", "no domain"], "not a domain"),
        (&["pause", "--type", "../x"], "not a name"),
        (&["pause", "--type", "a.b", "--domain", "example.com"], "cannot be used with"),
        (&["pause", "--reason", ""], "not a line"),
        (&["pause", "--for", "soon"], "--for"),
        (&["limit", "5/s", "--at-once", "2"], "--type <TYPE>|--domain <DOMAIN>"),
        (&["limit", "5/s", "--at-once", "0", "--domain", "gmail.com"], "--at-once"),
    ] {
        let (code, lines) = world.sending(arguments).await;
        assert_eq!(code, 64, "{arguments:?}: {lines:?}");
        assert!(lines.join("\n").contains(says), "{arguments:?}: {lines:?}");
    }
    for n in 0..31 {
        world.asks_directly(n).await;
    }
    world.asks(&["pause", "--type", "shop.receipt"]).await;
    // (1 type + 1) * (32 domains + 1) - 1.
    let (code, lines) = world.sending(&["limit", "5/s", "--domain", "one-too-many.example"]).await;
    assert_eq!(code, 64, "{lines:?}");
    assert!(lines[0].contains("more than 64 queues"), "{lines:?}");
    world.asks(&["pause"]).await;
    world.asks(&["limit", "6/s", "--domain", "d7.example", "--at-once", "2"]).await;
}

/// Mails to this domain so far.
fn to(world: &World, domain: &str) -> usize {
    world.smtp.arrivals().iter().filter(|mail| mail.to.ends_with(domain)).count()
}

#[tokio::test]
async fn a_domain_that_is_paused_holds_up_no_other_and_loses_nothing() {
    let world = World::new().await;
    world.asks(&["pause", "--domain", "gmail.com"]).await;
    let worker = world.worker().await;
    for n in 0..40 {
        world.register(&format!("user-{n}@gmail.com")).await;
        world.register(&format!("user-{n}@example.com")).await;
    }
    world.smtp.wait_for_mails(40, PATIENCE).await;
    let apart = queue::apart("domain:gmail.com");
    eventually("all of them wait apart", PATIENCE, async || (world.waiting(&apart).await == 40).then_some(())).await;
    assert_eq!(to(&world, "@gmail.com"), 0);
    // A worker that starts now finds them where they are.
    worker.stop().await;
    let worker = world.worker().await;
    world.asks(&["resume", "--domain", "gmail.com"]).await;
    world.smtp.wait_for_mails(80, PATIENCE).await;
    world.marked(80).await;
    assert_eq!((to(&world, "@gmail.com"), world.sent()), (40, 80), "each once");
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn what_is_in_hand_of_a_domain_goes_apart_when_it_is_paused() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay_at(Stage::Data, Duration::from_millis(200)));
    let worker = world.worker_with(&[("SENDING_SLOTS", "2")]).await;
    for n in 0..100 {
        world.register(&format!("user-{n}@gmail.com")).await;
    }
    world.smtp.wait_for_mails(4, PATIENCE).await;
    world.asks(&["pause", "--domain", "gmail.com"]).await;
    let apart = queue::apart("domain:gmail.com");
    eventually("all that is left waits apart", PATIENCE, async || {
        let waiting = if world.has_queue(&apart).await { world.waiting(&apart).await } else { 0 };
        (waiting as usize + world.sent() == 100).then_some(())
    })
    .await;
    let sent = world.sent();
    world.register("ada@example.com").await;
    world.smtp.wait_for_mails(sent + 1, PATIENCE).await;
    assert_eq!(to(&world, "@gmail.com"), sent);
    world.asks(&["resume", "--domain", "gmail.com"]).await;
    world.smtp.wait_for_mails(101, PATIENCE).await;
    world.marked(101).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_limit_of_a_domain_holds_over_all_workers_and_for_no_other_domain() {
    let world = World::new().await;
    world.asks(&["limit", "10/s", "--domain", "gmail.com"]).await;
    let (one, other) = (world.worker().await, world.worker().await);
    for n in 0..40 {
        world.register(&format!("user-{n}@gmail.com")).await;
    }
    for n in 0..200 {
        world.register(&format!("user-{n}@example.com")).await;
    }
    eventually("all the others are sent", PATIENCE, async || (to(&world, "@example.com") == 200).then_some(())).await;
    assert!(to(&world, "@gmail.com") < 40, "the others waited for them");
    world.smtp.wait_for_mails(240, PATIENCE).await;
    let times = world.times_to("@gmail.com");
    let took = times[39] - times[0];
    assert!(took >= Duration::from_secs_f64(3.9 * 0.95), "40 mails in {took:?} are more than 10 a second");
    assert!(took <= Duration::from_secs(6), "40 mails took {took:?} at 10 a second");
    world.marked(240).await;
    one.stop().await;
    world.ends_clean(other).await;
}

#[tokio::test]
async fn a_type_has_a_limit_too_and_a_mail_that_meets_two_keeps_to_both() {
    let world = World::new().await;
    world.asks(&["limit", "20/s", "--type", "email.welcome"]).await;
    world.asks(&["limit", "5/s", "--domain", "gmail.com", "--at-once", "1"]).await;
    let worker = world.worker().await;
    for n in 0..10 {
        world.register(&format!("user-{n}@gmail.com")).await;
        world.register(&format!("user-{n}@example.com")).await;
    }
    world.smtp.wait_for_mails(20, PATIENCE).await;
    let times = world.times_to("@gmail.com");
    let took = times[9] - times[0];
    assert!(took >= Duration::from_secs_f64(1.8 * 0.95), "10 mails in {took:?} are more than 5 a second");
    let times = world.smtp.mail_from_times();
    let took = times[19] - times[0];
    assert!(took >= Duration::from_secs_f64(19.0 / 20.0 * 0.95), "20 mails in {took:?} are more than 20 a second");
    // What is in force no more sends from where it is.
    world.asks(&["unlimit", "--type", "email.welcome"]).await;
    world.asks(&["limit", "1/h", "--domain", "gmail.com"]).await;
    // So long workers may take to follow.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for n in 0..5 {
        world.register(&format!("later-{n}@gmail.com")).await;
    }
    let apart = queue::apart("domain:gmail.com");
    eventually("they wait apart", PATIENCE, async || {
        (world.has_queue(&apart).await && world.waiting(&apart).await >= 1).then_some(())
    })
    .await;
    world.asks(&["unlimit", "--domain", "gmail.com"]).await;
    world.smtp.wait_for_mails(25, PATIENCE).await;
    world.marked(25).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_drain_gives_what_waits_apart_back_to_where_it_waited() {
    let world = World::new().await;
    world.asks(&["limit", "1/h", "--domain", "gmail.com"]).await;
    let worker = world.worker().await;
    for n in 0..6 {
        world.register(&format!("user-{n}@gmail.com")).await;
    }
    world.smtp.wait_for_mails(1, PATIENCE).await;
    let apart = queue::apart("domain:gmail.com");
    eventually("all but what is in hand wait", PATIENCE, async || (world.waiting(&apart).await >= 4).then_some(()))
        .await;
    worker.stop().await;
    assert_eq!((world.waiting(&apart).await, world.waiting(queue::EMAIL).await), (5, 0));
    assert_eq!(world.sent(), 1);
}

impl World {
    async fn has_queue(&self, name: &str) -> bool {
        self.vhost.queues().await.iter().any(|queue| queue.name == name)
    }

    /// When mails to this domain came.
    fn times_to(&self, domain: &str) -> Vec<std::time::Instant> {
        self.smtp.arrivals().iter().filter(|mail| mail.to.ends_with(domain)).map(|mail| mail.at).collect()
    }

    async fn asks_directly(&self, n: usize) {
        let sql = "INSERT INTO sending_controls (kind, scope, name, rate, set_by, reason)
                   VALUES ('limit', 'domain', 'd' || $1 || '.example', '5/s', 'test', 'test')";
        sqlx::query(sql).bind(n.to_string()).execute(self.database.pool()).await.unwrap();
    }
}

#[tokio::test]
async fn an_operator_closes_the_circuit_of_every_worker_before_a_probe_would() {
    let world = World::new().await;
    let quota = "454 4.7.0 Throttling failure: Daily message quota exceeded.";
    let workers = [world.worker().await, world.worker().await];
    world.falls_into(Script::healthy().reply(Stage::Mail, quota)).await;
    world.register_many("user", 40).await;
    for worker in &workers {
        worker.circuit_opens("quota-used-up").await;
    }
    let sent = world.sent();
    world.falls_into(Script::healthy()).await;
    // It would be looked at again in ten minutes at the earliest.
    let (code, lines) = world.sending(&["close-circuit", "--reason", "the quota was raised", "--json"]).await;
    assert_eq!((code, &objects(&lines)[0]["done"]), (0, &true.into()), "{lines:?}");
    for worker in &workers {
        worker.circuit_closes().await;
    }
    eventually("mails are sent again", PATIENCE, async || (world.sent() > sent).then_some(())).await;
    let (_, lines) = world.sending(&["history", "--json"]).await;
    let done = &objects(&lines)[0];
    assert_eq!((&done["action"], &done["by"]), (&"close-circuit".into(), &"grace".into()));
    assert_eq!((&done["object"], &done["detail"]), (&"fleet".into(), &"the quota was raised".into()));

    // Where it is not well it opens again, and whoever starts later closes nothing for what was asked before.
    world.falls_into(Script::healthy().reply(Stage::Mail, quota)).await;
    world.register_many("more", 40).await;
    for worker in &workers {
        worker.circuit_opens("quota-used-up").await;
    }
    world.asks(&["close-circuit"]).await;
    world.asks(&["close-circuit"]).await;
    for worker in workers {
        worker.circuit_opens("quota-used-up").await;
        worker.stop().await;
    }
}
