//! What the log says of mails that are not accepted: enough to see whose fault it is, and no line for each of many.

use std::time::Duration;

use contract::{TaskId, header, queue};
use serde_json::Value;
use testkit::{Script, Service, Stage, eventually};

use crate::helpers::{PATIENCE, World};

const POLICY: &str = "550 5.7.1 we take nothing from you";

/// The lines of this message, as they stand in the log now.
fn lines(worker: &Service, message: &str) -> Vec<Value> {
    let all = worker.log_lines().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    all.filter(|line| line["message"].as_str().is_some_and(|text| text.contains(message))).collect()
}

async fn dead_letters(world: &World, count: u32) {
    let all = async || (world.waiting(queue::DEAD).await == count).then_some(());
    eventually(&format!("{count} dead letters"), PATIENCE, all).await;
}

#[tokio::test]
async fn a_domain_that_refuses_everybody_is_named_in_one_line_and_not_in_hundreds() {
    const MAILS: u32 = 300;
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, POLICY).for_domain("bad.example"));
    world.queue_exists().await;
    for n in 0..MAILS {
        world.register(&format!("private-{n}@bad.example")).await;
        world.register(&format!("private-{n}@good.example")).await;
    }
    let worker = world.process(&[("SENDING_SLOTS", "4")]);
    worker.ready().await;
    dead_letters(&world, MAILS).await;
    world.smtp.wait_for_mails(300, PATIENCE).await;

    let told = lines(&worker, "a domain refuses most of our mails");
    let [line] = &told[..] else { panic!("not one line: {told:#?}") };
    assert_eq!((&line["level"], &line["domain"]), (&"WARN".into(), &"bad.example".into()), "{line}");
    assert!(line["error"].as_str().is_some_and(|reply| reply.contains(POLICY)), "{line}");
    assert!(line["refused"].as_u64() >= Some(5) && line["of"].as_u64() >= line["refused"].as_u64(), "{line}");
    let own = lines(&worker, "mail not accepted");
    assert!((1..=20).contains(&own.len()), "{} lines for {MAILS} mails", own.len());

    world.smtp.set_script(Script::healthy());
    world.register("private@bad.example").await;
    let line = worker.wait_for_log("a domain takes our mails again", PATIENCE).await;
    assert!(line.contains("\"level\":\"INFO\"") && line.contains("\"domain\":\"bad.example\""), "{line}");
    assert!(line.contains(&format!("\"refused\":{MAILS}")), "{line}");
    worker.terminate().await;
    assert!(!worker.log_lines().iter().any(|line| line.contains("private")), "a local part is in the log");
}

#[tokio::test]
async fn what_was_not_told_when_the_worker_ends_is_told_then() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, POLICY).for_domain("bad.example"));
    world.queue_exists().await;
    for n in 0..50 {
        world.register(&format!("private-{n}@bad.example")).await;
    }
    let worker = world.process(&[("SENDING_SLOTS", "1")]);
    worker.ready().await;
    dead_letters(&world, 50).await;
    worker.terminate().await;
    let told = lines(&worker, "a domain refuses most of our mails");
    let own = lines(&worker, "mail not accepted").len() as u64;
    assert_eq!(told.iter().filter_map(|line| line["without_a_line"].as_u64()).sum::<u64>() + own, 50, "{told:#?}");
}

#[tokio::test]
async fn the_line_of_a_dead_letter_names_it_and_the_reason() {
    let world = World::new().await;
    world.queue_exists().await;
    let worker = world.process(&[]);
    worker.ready().await;
    let named = testkit::lapin::BasicProperties::default().with_message_id("order-17".into());
    world.client.publish(queue::EMAIL, b"no task", named).await;
    world.client.publish_bare(queue::EMAIL, b"no task either").await;
    dead_letters(&world, 2).await;
    let told = async || Some(lines(&worker, "a message is put aside")).filter(|told| told.len() == 2);
    let told = eventually("two lines", Duration::from_secs(5), told).await;
    assert!(told.iter().all(|line| line["reason"] == "not-json"), "{told:#?}");
    for _ in &told {
        let letter = world.dead_letter().await;
        let task = TaskId::from_message_id(letter.message_id().expect("a dead letter has an id")).to_string();
        assert!(told.iter().any(|line| line["task"] == *task), "{task} is not named: {told:#?}");
        assert_eq!(letter.header(header::ATTEMPT), None, "nothing was tried");
    }
    worker.terminate().await;
}

#[tokio::test]
async fn a_mail_server_that_was_briefly_away_teaches_no_limit_of_connections() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(20)));
    let worker = world.process(&[]);
    worker.ready().await;
    world.register_many("before", 200).await;
    world.smtp.wait_for_count(200, PATIENCE).await;
    for _ in 0..3 {
        // In the middle of its work, and back at once.
        let mails = world.smtp.mails().len();
        world.register_many("meanwhile", 200).await;
        world.smtp.wait_for_count(mails + 50, PATIENCE).await;
        world.smtp.stop_listening().await;
        worker.wait_for_log("the circuit opens", PATIENCE).await;
        world.smtp.listen_again().await;
        world.smtp.wait_for_count(mails + 200, PATIENCE).await;
    }
    worker.terminate().await;
    let told = lines(&worker, "of this worker");
    assert!(told.is_empty(), "{told:#?}");
}

#[tokio::test]
async fn a_limit_of_connections_is_one_line_and_so_is_its_end() {
    let world = World::new().await;
    let script = Script::healthy().delay(Duration::from_millis(20));
    world.smtp.set_script(script.clone().drop_at(Stage::Connect).beyond(4));
    world.queue_exists().await;
    world.register_many("user", 400).await;
    let worker = world.process(&[]);
    worker.ready().await;
    let line = worker.wait_for_log("so many connections does the mail server take", PATIENCE).await;
    assert!(line.contains("\"limit\":4"), "{line}");
    world.smtp.set_script(script);
    world.register_many("more", 4_000).await;
    worker.wait_for_log("as many connections of this worker as there are slots", PATIENCE).await;
    worker.terminate().await;
    let told = lines(&worker, "of this worker");
    assert_eq!(told.len(), 2, "{told:#?}");
}

#[tokio::test]
async fn mails_that_are_set_apart_have_one_line_for_all_of_them() {
    let world = World::new().await;
    let (code, said) = world.sending(&["pause", "--domain", "gmail.com", "--reason", "a test"]).await;
    assert_eq!(code, 0, "{said:?}");
    world.queue_exists().await;
    for n in 0..50 {
        world.register(&format!("private-{n}@gmail.com")).await;
    }
    let worker = world.process(&[]);
    worker.ready().await;
    worker.wait_for_log("sending is paused", PATIENCE).await;
    let apart = queue::apart("domain:gmail.com");
    worker.wait_for_log("have a queue of their own", PATIENCE).await;
    eventually("all of them wait apart", PATIENCE, async || (world.waiting(&apart).await == 50).then_some(())).await;
    worker.terminate().await;
    let told = worker.log_lines().iter().filter(|line| line.contains("gmail.com")).count();
    assert_eq!(told, 2, "{:#?}", worker.log_lines());
}
