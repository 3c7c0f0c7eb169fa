//! What operators ask of a fleet that runs: pauses and limits, and the commands that ask.

use std::time::Duration;

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
    ] {
        let (code, lines) = world.sending(arguments).await;
        assert_eq!(code, 64, "{arguments:?}: {lines:?}");
        assert!(lines.join("\n").contains(says), "{arguments:?}: {lines:?}");
    }
    for n in 0..50 {
        world.asks_directly(n).await;
    }
    let (code, lines) = world.sending(&["limit", "5/s", "--domain", "one-too-many.example"]).await;
    assert_eq!(code, 64, "{lines:?}");
    assert!(lines[0].contains("50 types and domains"), "{lines:?}");
    world.asks(&["pause"]).await;
    world.asks(&["limit", "6/s", "--domain", "d7.example"]).await;
}

impl World {
    async fn asks_directly(&self, n: usize) {
        let sql = "INSERT INTO sending_controls (kind, scope, name, rate, set_by, reason)
                   VALUES ('limit', 'domain', 'd' || $1 || '.example', '5/s', 'test', 'test')";
        sqlx::query(sql).bind(n.to_string()).execute(self.database.pool()).await.unwrap();
    }
}
