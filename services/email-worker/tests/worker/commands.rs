//! The binary as people and platforms run it: what it says when it cannot work, and its commands for dead letters.

use contract::{TaskId, header, queue};
use testkit::lapin::types::FieldTable;
use testkit::{Script, Service, Stage, Taken, eventually};

use crate::helpers::{PATIENCE, SlowWay, World, body, registration};

/// Runs a command to its end: exit code, and what it wrote.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, String)]) -> (i32, Vec<String>) {
    let process = Service::spawn_with("email-worker", arguments, environment);
    let status = process.exited(PATIENCE).await;
    let code = status.code().unwrap_or_else(|| panic!("{arguments:?} ended with {status}"));
    (code, process.log_lines())
}

/// An environment with some variables changed; what is changed to nothing is left out.
pub(crate) fn changed<'a>(environment: &[(&'a str, &str)], changes: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let kept = environment.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let variables = kept.chain(changes.iter().filter(|(_, value)| !value.is_empty()));
    variables.map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_the_environment_is_named_in_one_line() {
    let world = World::new().await;
    for (name, value, also) in [
        ("DATABASE_URL", None, ""),
        ("DATABASE_URL", Some("mysql://user:hunter2@127.0.0.1/db"), ""),
        ("AMQP_URL", None, ""),
        ("AMQP_URL", Some("http://user:hunter2@127.0.0.1/"), ""),
        ("MAIL_FROM", None, ""),
        ("MAIL_FROM", Some("nobody"), ""),
        ("SMTP_HOST", None, ""),
        ("SMTP_PASSWORD", Some("hunter2"), "SMTP_USERNAME"),
        ("MAIL_RATE", Some("fast"), ""),
        ("MAIL_RETRY_SCHEDULE", Some("5s,5s"), "growing"),
        ("SENDING_SLOTS", Some("0"), ""),
        ("SHUTDOWN_GRACE", Some("1s"), "SEND_TIMEOUT"),
        ("LEDGER_RETENTION", Some("1h"), "MAIL_GIVE_UP_AFTER"),
        ("MAIL_GIVE_UP_AFTER", Some("0s"), "is 0s"),
        ("PREFETCH_MAX", Some("16"), "SENDING_SLOTS"),
        ("DATABASE_URL", Some("postgres://user:hunter2#4@127.0.0.1/db"), "%23"),
        ("DATABASE_URL", Some("postgres://user:hunter2@127.0.0.1/db?sslmode=on"), "verify-full"),
        ("DATABASE_POOL_SIZE", Some("3"), "4..=1000"),
        ("SMTP_HOST", Some("smtp://mail.example.com"), "the name alone"),
        ("SMTP_HOST", Some("mail.example.com:587"), "SMTP_PORT"),
        ("SEND_TIMEOUT", Some("soon"), ""),
        ("SMTP_DATA_TIMEOUT", Some("15m"), "between 100ms and 14m"),
        ("MAIL_UNKNOWN_REPEATS", Some("-1"), ""),
        ("APP_ENV", Some("staging"), "production"),
        ("LOG_FORMAT", Some("xml"), ""),
    ] {
        let mut variables = world.environment();
        variables.retain(|(known, _)| *known != name && *known != "ADMIN_ADDR");
        variables.extend(value.map(|value| (name, value.to_owned())));
        let (code, lines) = run(&[], &variables).await;
        assert_eq!(code, 64, "{name}={value:?}: {lines:?}");
        let [line] = lines.as_slice() else { panic!("{name}={value:?}: not one line: {lines:#?}") };
        assert!(line.contains(name) && line.contains(also), "{name}={value:?}: {line}");
        assert!(!line.contains("hunter2"), "a secret is printed: {line}");
    }
}

#[tokio::test]
async fn mails_into_a_folder_are_refused_in_production() {
    let world = World::new().await;
    let folder = std::env::temp_dir().join(format!("sluice-{}", TaskId::new()));
    let mut variables = world.environment_with(&[("MAIL_TRANSPORT", "file"), ("MAIL_DIR", folder.to_str().unwrap())]);
    variables.retain(|(name, _)| *name != "ADMIN_ADDR");
    variables.push(("APP_ENV", "production".to_owned()));
    let (code, lines) = run(&[], &variables).await;
    assert_eq!(code, 64);
    let [line] = lines.as_slice() else { panic!("not one line: {lines:#?}") };
    assert!(line.contains("MAIL_TRANSPORT=file") && line.contains("APP_ENV=production"), "{line}");

    // Elsewhere it is one file a mail.
    variables.pop();
    let worker = Service::spawn("email-worker", &variables);
    worker.ready().await;
    let id = world.register("ada@example.com").await;
    world.marked(1).await;
    assert_eq!(worker.terminate().await.code(), Some(0));
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let mail = std::fs::read_to_string(&files[0]).unwrap();
    assert!(files[0].extension().is_some_and(|e| e == "eml") && mail.contains(&id.to_string()), "{files:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_queue_with_other_arguments_ends_it_with_one_line_and_is_not_touched() {
    let world = World::new().await;
    let mut classic = FieldTable::default();
    classic.insert("x-queue-type".into(), testkit::lapin::types::AMQPValue::LongString("classic".into()));
    world.client.declare(queue::EMAIL, classic).await.unwrap();
    world.register("ada@example.com").await;
    let worker = world.process(&[]);
    let status = worker.exited(PATIENCE).await;
    assert_eq!(status.code(), Some(78), "{status}");
    let line = worker.wait_for_log("error:", PATIENCE).await;
    assert!(line.contains("`email_queue`") && line.contains("`x-queue-type`"), "{line}");
    assert!(line.contains("`email-worker queue migrate --queue email_queue`"), "it does not say what to do: {line}");
    assert_eq!(worker.log_lines().iter().filter(|line| line.contains("error:")).count(), 1);
    let queue = world.vhost.queue_info(queue::EMAIL).await.unwrap();
    assert_eq!((queue.kind.as_str(), world.waiting(queue::EMAIL).await), ("classic", 1), "the queue was touched");
}

#[tokio::test]
async fn a_user_who_must_not_read_the_queue_ends_it_with_one_line() {
    let world = World::new().await;
    // The queues of the retry schedule lead to the main one: whoever declares them must be able to read them.
    let url = world.vhost.url_of_user(".*", ".*", "^email_queue[.]").await;
    let worker = world.process(&[("AMQP_URL", &url)]);
    let status = worker.exited(PATIENCE).await;
    assert_eq!(status.code(), Some(78), "{status}");
    let line = worker.wait_for_log("error:", PATIENCE).await;
    assert!(line.contains("`email_queue`") && line.contains("right to read"), "{line}");
}

#[tokio::test]
async fn while_the_broker_is_away_only_our_own_lines_say_so() {
    let world = World::new().await;
    let worker = world.process(&[("AMQP_URL", "amqp://guest:guest@127.0.0.1:1/")]);
    let tries = async || {
        let ours = worker.log_lines().iter().filter(|line| line.contains("tasks can't be taken")).count();
        (ours >= 2).then_some(())
    };
    eventually("our own line of the second try", PATIENCE, tries).await;
    let foreign: Vec<_> = worker.log_lines().into_iter().filter(|line| line.contains("\"target\":\"lapin")).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
    assert_eq!(worker.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn migrate_brings_an_empty_database_up_to_date_also_by_a_url_of_its_own() {
    let nowhere = ("DATABASE_URL", "postgres://worker@127.0.0.1:1/ledger".to_owned());
    for of_its_own in [false, true] {
        let database = testkit::database().await;
        let url = database.url().to_owned();
        let variables =
            if of_its_own { vec![nowhere.clone(), ("MIGRATE_DATABASE_URL", url)] } else { vec![("DATABASE_URL", url)] };
        for _ in 0..2 {
            let process = Service::spawn_with("email-worker", &["migrate"], &variables);
            assert_eq!(process.exited(PATIENCE).await.code(), Some(0), "{:#?}", process.log_lines());
        }
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(database.pool()).await.unwrap();
        assert_eq!(rows, 0);
    }
}

/// A world with this many dead letters (fewer than open the circuit), and no worker.
async fn dead_letters(count: usize) -> (World, Vec<(&'static str, String)>) {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Content, "554 5.7.1 no"));
    let worker = world.worker().await;
    world.register_many("user", count).await;
    let died = async || (world.waiting(queue::DEAD).await as usize == count).then_some(());
    eventually(&format!("{count} dead letters"), PATIENCE, died).await;
    worker.stop().await;
    world.smtp.set_script(Script::healthy());
    let variables = vec![("AMQP_URL", world.vhost.amqp_url().to_owned())];
    (world, variables)
}

#[tokio::test]
async fn dead_letters_are_listed_without_addresses_unless_asked_for() {
    let (world, variables) = dead_letters(3).await;
    let (code, lines) = run(&["dead", "list"], &variables).await;
    assert_eq!((code, lines.len()), (0, 4), "{lines:#?}");
    assert!(lines[0].starts_with("ID") && lines[1].contains("policy-violation"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains('@')), "an address is shown: {lines:#?}");
    let (_, lines) = run(&["dead", "list", "--addresses"], &variables).await;
    assert!(lines[1..].iter().all(|line| line.contains("@example.com")), "{lines:#?}");
    let (_, lines) = run(&["dead", "list", "--limit", "1"], &variables).await;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let all_there = async || (world.waiting(queue::DEAD).await == 3).then_some(());
    eventually("listing takes nothing away", PATIENCE, all_there).await;
}

#[tokio::test]
async fn dead_letters_are_put_back_by_number_or_by_id_and_mailed() {
    let (world, variables) = dead_letters(4).await;
    let (code, lines) = run(&["redrive", "--limit", "2"], &variables).await;
    assert_eq!((code, lines.as_slice()), (0, ["2 dead letters back on the queue".to_owned()].as_slice()));
    let left = async || (world.waiting(queue::DEAD).await == 2).then_some(());
    eventually("two are left", PATIENCE, left).await;

    // The last one, past another that stays.
    let (_, listed) = run(&["dead", "list"], &variables).await;
    let id = listed[2].split(' ').next().unwrap();
    let (code, lines) = run(&["redrive", "--id", id], &variables).await;
    assert_eq!((code, lines.as_slice()), (0, ["1 dead letter back on the queue".to_owned()].as_slice()));
    let (code, lines) = run(&["redrive", "--id", id], &variables).await;
    assert_eq!(code, 69, "{lines:?}");
    assert!(lines.len() == 1 && lines[0].contains(id), "{lines:?}");
    let left = async || (world.waiting(queue::DEAD).await == 1).then_some(());
    eventually("one is left", PATIENCE, left).await;

    let worker = world.worker().await;
    let mails = world.smtp.wait_for_mails(3, PATIENCE).await;
    assert!(mails.iter().any(|mail| mail.message_id().starts_with(id)), "it keeps its id");
    world.marked(3).await;
    worker.stop().await;
    assert_eq!((world.waiting(queue::EMAIL).await, world.waiting(queue::DEAD).await), (0, 1));
}

#[tokio::test]
async fn a_redriven_task_begins_anew_also_when_it_was_too_old() {
    let world = World::new().await;
    let worker = world.worker().await;
    let id = TaskId::new();
    world.publish("ada@example.com", registration(id).with_timestamp(1_600_000_000)).await;
    let dead = async || (world.waiting(queue::DEAD).await == 1).then_some(());
    eventually("it is put aside", PATIENCE, dead).await;
    let (code, lines) = run(&["redrive"], &[("AMQP_URL", world.vhost.amqp_url().to_owned())]).await;
    assert_eq!(code, 0, "{lines:?}");
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.marked(1).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_redrive_that_is_killed_loses_nothing() {
    let world = World::new().await;
    let worker = world.worker().await;
    worker.stop().await;
    let mut ids = std::collections::BTreeSet::new();
    for n in 0..300 {
        let id = TaskId::new();
        ids.insert(id.to_string());
        world.client.publish(queue::DEAD, &body(&format!("user-{n}@example.com")), registration(id)).await;
    }
    let slow = SlowWay::to(&world.vhost).await;
    let redrive = Service::spawn_with("email-worker", &["redrive", "--all"], slow.variables());
    let moving = async || (world.waiting(queue::EMAIL).await > 0).then_some(());
    eventually("it is at work", PATIENCE, moving).await;
    redrive.kill();
    assert!(world.waiting(queue::EMAIL).await < 300, "it was done before it was killed");
    let mut found = std::collections::BTreeSet::new();
    let note = |task: Taken| task.message_id().unwrap().to_owned();
    eventually("every task, on the queue or among the dead letters", PATIENCE, async || {
        for queue in [queue::EMAIL, queue::DEAD] {
            while let Some(task) = world.client.take(queue).await {
                if queue == queue::EMAIL {
                    assert!(task.header(header::REDRIVEN_AT).is_some());
                }
                found.insert(note(task));
            }
        }
        (found == ids).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_commands_say_what_they_cannot_reach() {
    let variables = [("AMQP_URL", "amqp://guest:hunter2@127.0.0.1:1/%2f".to_owned())];
    for arguments in
        [["dead", "list"].as_slice(), &["redrive"], &["dead", "discard", "--all", "--yes"], &["queue", "migrate"]]
    {
        let (code, lines) = run(arguments, &variables).await;
        assert_eq!(code, 69, "{lines:?}");
        assert!(lines.len() == 1 && lines[0].contains("connect to") && !lines[0].contains("hunter2"), "{lines:?}");
    }
}
