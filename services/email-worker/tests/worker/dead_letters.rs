//! The commands for dead letters when there are many: choosing, counting, throwing away, and two people at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amqp::{Broker, topology};
use contract::{TaskId, header, queue};
use futures_util::{StreamExt as _, stream};
use testkit::lapin::BasicProperties;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Service, Vhost, eventually};

use crate::commands::run;
use crate::helpers::{PATIENCE, SlowWay, body, registration};

/// Everything that a command needs, and no worker.
struct Support {
    vhost: Vhost,
    client: testkit::Client,
}

impl Support {
    async fn new() -> Self {
        let vhost = testkit::vhost().await;
        let connection = Broker::new(vhost.amqp_url().parse().unwrap(), "test").connect().await.unwrap();
        topology::ensure(&connection, &[topology::main(), topology::dead()]).await.unwrap();
        connection.close().await;
        Self { client: vhost.client().await, vhost }
    }

    /// With a queue that refuses all but the first message, as a quorum queue does whose leader is being chosen.
    async fn refusing() -> Self {
        let vhost = testkit::vhost().await;
        let client = vhost.client().await;
        let connection = Broker::new(vhost.amqp_url().parse().unwrap(), "test").connect().await.unwrap();
        topology::ensure(&connection, &[topology::dead()]).await.unwrap();
        connection.close().await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        client.declare(queue::EMAIL, arguments).await.unwrap();
        Self { vhost, client }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![("AMQP_URL", self.vhost.amqp_url().to_owned())]
    }

    async fn run(&self, arguments: &[&str]) -> (i32, Vec<String>) {
        run(arguments, &self.variables()).await
    }

    /// Letters to `<n>@<domain>` that died of `reason`.
    async fn letters(&self, count: usize, domain: &str, reason: &str) {
        let publishing = stream::iter(0..count).map(|n| async move {
            self.client.publish(queue::DEAD, &body(&format!("{n}@{domain}")), dead(reason)).await;
        });
        publishing.buffer_unordered(500).collect::<Vec<()>>().await;
    }

    async fn counts(&self) -> (u32, u32) {
        (self.client.ready(queue::EMAIL).await, self.client.ready(queue::DEAD).await)
    }

    /// Waits for a number of messages in the queue and among the dead letters.
    async fn holds(&self, queued: u32, dead: u32) {
        let what = format!("{queued} in the queue and {dead} dead letters");
        eventually(&what, PATIENCE, async || (self.counts().await == (queued, dead)).then_some(())).await;
    }
}

pub(crate) fn dead(reason: &str) -> BasicProperties {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut headers = FieldTable::default();
    headers.insert(header::DEAD_REASON.into(), AMQPValue::LongString(reason.into()));
    headers.insert(header::DEAD_DETAIL.into(), AMQPValue::LongString("550 no".into()));
    headers.insert(header::DEAD_AT.into(), AMQPValue::LongLongInt(i64::try_from(now).unwrap()));
    registration(TaskId::new()).with_headers(headers)
}

#[tokio::test]
async fn letters_are_chosen_by_reason_domain_type_and_age() {
    let support = Support::new().await;
    support.letters(3, "example.com", "mailbox-full").await;
    support.letters(2, "example.org", "mailbox-full").await;
    support.letters(4, "example.org", "blocked").await;
    for (arguments, expected) in [
        (["--reason", "mailbox-full"].as_slice(), 5),
        (&["--reason", "mailbox-full,blocked"], 9),
        (&["--domain", "example.org"], 6),
        (&["--domain", "example.org", "--reason", "blocked"], 4),
        (&["--type", "email.welcome", "--since", "1h"], 9),
        (&["--offset", "7"], 2),
        (&["--offset", "2", "--limit", "3"], 3),
    ] {
        let (code, lines) = support.run(&[&["dead", "list", "--json"], arguments].concat()).await;
        assert_eq!(
            (code, lines.iter().filter(|line| line.contains("\"reason\":")).count()),
            (0, expected),
            "{lines:#?}"
        );
        assert!(!lines.iter().any(|line| line.contains('@')), "an address is shown: {lines:#?}");
    }
    let (_, lines) = support.run(&["dead", "list", "--type", "none"]).await;
    assert_eq!(lines, ["no dead letters"]);
    let (_, lines) = support.run(&["dead", "list", "--count"]).await;
    assert_eq!(lines, ["REASON        COUNT", "blocked       4", "mailbox-full  5", "all           9"]);

    let (code, lines) = support.run(&["redrive", "--reason", "mailbox-full", "--domain", "example.org"]).await;
    assert_eq!((code, lines), (0, vec!["2 dead letters back on the queue".to_owned()]));
    support.holds(2, 7).await;
}

#[tokio::test]
async fn letters_are_thrown_away_by_choice_and_never_unasked() {
    let support = Support::new().await;
    support.letters(3, "example.com", "no-email").await;
    support.letters(2, "example.com", "blocked").await;
    let (code, lines) = support.run(&["dead", "discard", "--yes"]).await;
    assert!(code == 64 && lines.iter().any(|line| line.contains("--all")), "no choice is not all: {code} {lines:#?}");
    let (code, lines) = support.run(&["dead", "discard", "--reason", "no-email"]).await;
    assert!(code == 64 && lines.iter().any(|line| line.contains("--yes")), "nobody was asked: {code} {lines:#?}");
    support.holds(0, 5).await;
    let (code, lines) = support.run(&["dead", "discard", "--reason", "no-email", "--yes"]).await;
    assert_eq!((code, lines), (0, vec!["3 dead letters thrown away".to_owned()]));
    support.holds(0, 2).await;
    let (code, lines) = support.run(&["dead", "discard", "--all", "--yes"]).await;
    assert_eq!((code, lines), (0, vec!["2 dead letters thrown away".to_owned()]));
    support.holds(0, 0).await;
}

#[tokio::test]
async fn a_second_reader_waits_and_then_sees_all() {
    let support = Support::new().await;
    support.letters(600, "example.com", "blocked").await;
    let slow = SlowWay::to(&support.vhost).await;
    let first = Service::spawn_with("email-worker", &["dead", "list", "--limit", "600"], slow.variables());
    let reading = async || (support.counts().await.1 < 600).then_some(());
    eventually("the first reads", PATIENCE, reading).await;
    let second = Service::spawn_with("email-worker", &["dead", "list", "--count"], &support.variables());
    second.wait_for_log("waiting", PATIENCE).await;
    second.wait_for_log("all      600", PATIENCE).await;
    assert_eq!(second.exited(PATIENCE).await.code(), Some(0));
    assert_eq!(first.exited(PATIENCE).await.code(), Some(0));
    assert_eq!(first.log_lines().len(), 601, "the first list is cut short");
}

#[tokio::test]
async fn a_signal_ends_a_redrive_orderly_and_the_next_goes_on() {
    let support = Support::new().await;
    support.letters(1000, "example.com", "blocked").await;
    let slow = SlowWay::to(&support.vhost).await;
    let redrive = Service::spawn_with("email-worker", &["redrive", "--all"], slow.variables());
    let moving = async || (support.counts().await.0 > 0).then_some(());
    eventually("it is at work", PATIENCE, moving).await;
    assert_eq!(redrive.terminate().await.code(), Some(130), "{:?}", redrive.log_lines());
    let (queued, left) = support.counts().await;
    assert!(queued < 1000, "it was done before it was stopped");
    assert_eq!(queued + left, 1000, "one in both or in neither");
    let (code, _) = support.run(&["redrive", "--all"]).await;
    assert_eq!(code, 0);
    support.holds(1000, 0).await;
}

#[tokio::test]
async fn a_queue_that_takes_no_letters_for_now_is_tried_again_and_gets_them() {
    let support = Support::refusing().await;
    support.letters(10, "example.com", "rejected").await;
    let redrive = Service::spawn_with("email-worker", &["redrive", "--all"], &support.variables());
    let said = async || redrive.log_lines().iter().any(|line| line.contains("takes no message")).then_some(());
    eventually("it says that the queue takes nothing", PATIENCE, said).await;
    let mut taken = std::collections::BTreeSet::new();
    eventually("all are moved", PATIENCE, async || {
        taken.extend(support.client.take(queue::EMAIL).await.map(|letter| letter.message_id().unwrap().to_owned()));
        (taken.len() == 10).then_some(())
    })
    .await;
    assert!(redrive.exited(PATIENCE).await.success(), "{:#?}", redrive.log_lines());
    assert_eq!(support.client.ready(queue::DEAD).await, 0);
}

#[tokio::test]
async fn a_broker_that_lets_nobody_in_for_now_is_asked_again_while_a_queue_takes_nothing() {
    let support = Support::refusing().await;
    support.letters(3, "example.com", "rejected").await;
    let redrive = Service::spawn_with("email-worker", &["redrive", "--all"], &support.variables());
    redrive.wait_for_log("takes no message", PATIENCE).await;
    support.vhost.max_connections(Some(0)).await;
    // Longer than it waits between two tries.
    let ended = tokio::time::timeout(Duration::from_secs(6), redrive.exited(PATIENCE)).await;
    assert!(ended.is_err(), "it gave up: {:#?}", redrive.log_lines());
    support.vhost.max_connections(None).await;
    let mut taken = std::collections::BTreeSet::new();
    eventually("all are moved", PATIENCE, async || {
        taken.extend(support.client.take(queue::EMAIL).await.map(|letter| letter.message_id().unwrap().to_owned()));
        (taken.len() == 3).then_some(())
    })
    .await;
    assert!(redrive.exited(PATIENCE).await.success(), "{:#?}", redrive.log_lines());
}

#[tokio::test]
async fn a_queue_that_takes_no_letters_for_a_minute_ends_the_redrive_and_they_stay_where_they_are() {
    let support = Support::refusing().await;
    support.letters(10, "example.com", "rejected").await;
    let began = Instant::now();
    let redrive = Service::spawn_with("email-worker", &["redrive", "--all"], &support.variables());
    let ended = redrive.exited(2 * PATIENCE).await;
    let (took, lines) = (began.elapsed(), redrive.log_lines());
    assert!(took >= Duration::from_secs(60), "given up after {took:?}: {lines:#?}");
    let last = lines.last().expect("a line that says so");
    assert_eq!(ended.code(), Some(69), "{lines:#?}");
    assert!(last.contains("took no message") && last.contains("run this again"), "{lines:#?}");
    // The one that found room, and the others.
    support.holds(1, 9).await;
}

/// 2,000 one by one, each giving way to all before it, took a second and more.
#[tokio::test]
async fn many_letters_are_read_in_bulk() {
    many(2_000).await;
}

/// The figures of the documentation: `--ignored --nocapture`, with a release build of the worker.
#[tokio::test]
#[ignore = "a measurement of some minutes"]
async fn two_hundred_thousand_letters_are_read_in_bulk() {
    many(200_000).await;
}

#[allow(clippy::print_stderr, reason = "figures")]
async fn many(count: u32) {
    let support = Support::new().await;
    support.letters(count as usize - 1, "example.com", "mailbox-full").await;
    support.letters(1, "example.org", "blocked").await;
    let mut took = BTreeMap::new();
    let all = count.to_string();
    for (arguments, expected) in [
        (["dead", "list", "--count"].as_slice(), format!("all           {count}")),
        (&["dead", "list", "--json", "--limit", &all], "\"reason\":\"blocked\"".to_owned()),
        (&["redrive", "--domain", "example.org"], "1 dead letter back".to_owned()),
        (&["redrive", "--all"], format!("{} dead letters back", count - 1)),
    ] {
        let began = Instant::now();
        let process = Service::spawn_with("email-worker", arguments, &support.variables());
        let mut memory = 0;
        let ended = eventually("its end", Duration::from_secs(300), async || {
            memory = memory.max(mebibytes(process.pid()).unwrap_or(0));
            process.status()
        })
        .await;
        took.insert(arguments.join(" "), (began.elapsed(), memory));
        assert_eq!(ended.code(), Some(0), "{:?}", process.log_lines().last());
        process.wait_for_log(&expected, PATIENCE).await;
    }
    support.holds(count, 0).await;
    eprintln!("{count} letters, time and MiB: {took:#?}");
    assert!(took.values().all(|(_, memory)| *memory < 150), "memory: {took:#?}");
}

/// The most that a process had resident; nothing once it is gone.
fn mebibytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(most.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}
