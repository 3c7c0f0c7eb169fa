//! Addresses that get no mails, since the mail server does not know them or somebody said so.

use std::fs;
use std::time::Duration;

use contract::{TaskId, header, queue};
use serde_json::{Value, json};
use testkit::{Dir, Postgres, Script, SmtpOptions, Stage, eventually};

use crate::commands::{changed, run};
use crate::helpers::{PATIENCE, Running, World, registration};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const ANOTHER: &str = "another-key-of-thirty-two-letters";
const NOBODY: &str = "nobody@example.com";
const UNKNOWN: &str = "550 5.1.1 no such user";

/// A server that does not know one address of its domain.
fn nobody_there() -> Script {
    Script::healthy().reply(Stage::Rcpt, UNKNOWN).for_recipient(NOBODY)
}

impl World {
    async fn remembering_worker(&self) -> Running {
        self.worker_with(&[("ADDRESS_HASH_KEY", KEY)]).await
    }

    /// A mail for this address, and it is taken.
    async fn takes(&self, email: &str) {
        let before = self.smtp.mails().len();
        self.register(email).await;
        self.smtp.wait_for_mails(before + 1, PATIENCE).await;
    }

    /// A mail for this address, and it is refused for this reason.
    async fn refuses(&self, email: &str, reason: &str) {
        self.register(email).await;
        assert_eq!(self.dead_letter().await.header(header::DEAD_REASON).as_deref(), Some(reason), "{email}");
    }

    /// A mail for this address, and the server hears nothing of it.
    async fn keeps_from(&self, email: &str) -> TaskId {
        let asked = self.smtp.mail_from_times().len();
        let id = self.register(email).await;
        let marked = "SELECT count(*) FROM ledger WHERE id = $1 AND sent_at IS NOT NULL";
        eventually("it is marked", PATIENCE, async || {
            let query = sqlx::query_scalar(marked).bind(id.as_uuid());
            (query.fetch_one(self.database.pool()).await.is_ok_and(|count: i64| count == 1)).then_some(())
        })
        .await;
        assert_eq!(self.smtp.mail_from_times().len(), asked, "the mail server was asked about a suppressed address");
        id
    }

    /// Waits until so many addresses are suppressed.
    async fn suppresses(&self, addresses: i64) {
        let what = format!("{addresses} addresses suppressed");
        eventually(&what, PATIENCE, async || (self.suppressed().await == addresses).then_some(())).await;
    }

    async fn suppressed(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM suppressions").fetch_one(self.database.pool()).await.unwrap()
    }

    /// The mail server refuses one address, and takes mails for others before and after.
    async fn learns_of_nobody(&self) {
        self.takes("ada@example.com").await;
        self.refuses(NOBODY, "user-unknown").await;
        self.takes("bob@example.com").await;
        self.suppresses(1).await;
    }

    async fn suppressions(&self, arguments: &[&str], changes: &[(&'static str, &str)]) -> (i32, Vec<String>) {
        let variables = changed(&[("DATABASE_URL", self.database.url()), ("ADDRESS_HASH_KEY", KEY)], changes);
        run(&[&["suppressions"], arguments].concat(), &variables).await
    }
}

#[tokio::test]
async fn a_mail_to_an_unknown_address_is_a_dead_letter_and_the_next_one_does_not_reach_the_server() {
    let world = World::new().await;
    world.smtp.set_script(nobody_there());
    let worker = world.remembering_worker().await;
    world.learns_of_nobody().await;
    world.keeps_from(NOBODY).await;
    world.keeps_from("Nobody@Example.COM").await;
    world.takes("ada@example.com").await;
    world.ends_clean(worker).await;
    let (reason, source): (String, String) =
        sqlx::query_as("SELECT reason, source FROM suppressions").fetch_one(world.database.pool()).await.unwrap();
    assert_eq!((reason.as_str(), source.as_str()), ("5.1.1 user-unknown", "bounce"));
}

#[tokio::test]
async fn a_copy_of_a_mail_that_was_not_sent_is_a_duplicate() {
    let world = World::new().await;
    world.smtp.set_script(nobody_there());
    let worker = world.remembering_worker().await;
    world.learns_of_nobody().await;
    let id = world.keeps_from(NOBODY).await;
    // Even if there is somebody meanwhile.
    sqlx::query("DELETE FROM suppressions").execute(world.database.pool()).await.unwrap();
    world.smtp.set_script(Script::healthy());
    world.publish(NOBODY, registration(id)).await;
    world.takes("last@example.com").await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 3, "a copy was mailed");
}

#[tokio::test]
async fn what_is_not_about_an_unknown_address_is_not_remembered() {
    let world = World::new().await;
    let table = [
        (Stage::Rcpt, "550 5.7.1 not from you", "policy-violation"),
        (Stage::Rcpt, "552 5.2.2 mailbox full", "mailbox-full"),
        (Stage::Rcpt, "550 5.2.1 mailbox disabled", "suspended"),
        (Stage::Rcpt, "550 no such user", "user-unknown"),
        (Stage::Content, "550 5.7.1 spam", "spam-detected"),
    ];
    let recipient = |row: usize| format!("row-{row}@example.com");
    world.smtp.set_script(table.iter().enumerate().fold(Script::healthy(), |script, (row, (stage, reply, _))| {
        script.reply(*stage, reply).for_recipient(&recipient(row))
    }));
    let worker = world.remembering_worker().await;
    for (row, (_, _, reason)) in table.iter().enumerate() {
        world.takes("ada@example.com").await;
        world.refuses(&recipient(row), reason).await;
    }
    world.takes("ada@example.com").await;
    world.ends_clean(worker).await;
    assert_eq!(world.suppressed().await, 0);
}

#[tokio::test]
async fn a_server_that_knows_nobody_for_a_while_leaves_nobody_suppressed() {
    let world = World::new().await;
    let worker = world.remembering_worker().await;
    world.takes("ada@example.com").await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, UNKNOWN));
    for n in 0..20 {
        world.refuses(&format!("somebody-{n}@example.com"), "user-unknown").await;
        world.refuses(&format!("somebody@domain-{n}.example"), "user-unknown").await;
    }
    world.smtp.set_script(Script::healthy());
    for n in 0..20 {
        world.takes(&format!("somebody-{n}@example.com")).await;
        world.takes(&format!("other@domain-{n}.example")).await;
    }
    world.ends_clean(worker).await;
    assert_eq!(world.suppressed().await, 0, "real people would get no mails");
}

#[tokio::test]
async fn what_was_refused_shortly_before_the_circuit_opens_is_not_believed() {
    const GONE: &str = "gone@example.com";
    let world = World::new().await;
    world.smtp.set_script(nobody_there());
    let worker = world.remembering_worker().await;
    world.takes("ada@example.com").await;
    world.refuses(NOBODY, "user-unknown").await;
    world.smtp.cut_connections().await;
    world.smtp.set_script(Script::healthy().drop_at(Stage::Connect));
    world.register("bob@example.com").await;
    worker.circuit_opens("unreachable").await;
    // The mail that closes the circuit is taken, and would make the refusal believed.
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, UNKNOWN).for_recipient(GONE));
    world.smtp.wait_for_mails(2, PATIENCE).await;
    worker.circuit_closes().await;
    // What is believed is written in turn: once this one is, the other would be.
    world.refuses(GONE, "user-unknown").await;
    world.takes("ada@example.com").await;
    world.suppresses(1).await;
    world.keeps_from(GONE).await;
    world.takes(NOBODY).await;
    world.ends_clean(worker).await;
    assert_eq!(world.suppressed().await, 1);
}

#[tokio::test]
async fn mails_of_a_type_that_forbids_it_are_tried_all_the_same() {
    let world = World::new().await;
    let directory = Dir::new("mails");
    for (name, content) in [
        ("shop.invoice.toml", "suppressible = false\n[fields]\norder = \"text\"\n\n[sample]\norder = \"A-17\"\n"),
        ("shop.invoice.en.subject", "Your order {{ order }}\n"),
        ("shop.invoice.en.txt", "Thank you: {{ order }}.\n"),
    ] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    world.smtp.set_script(nobody_there());
    let mails = directory.path().to_str().unwrap();
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY), ("MAILS_DIR", mails)]).await;
    world.learns_of_nobody().await;
    world.smtp.set_script(Script::healthy());
    let body = json!({"email": NOBODY, "data": {"order": "A-17"}}).to_string();
    let properties = registration(TaskId::new()).with_type("shop.invoice".into());
    world.client.publish(queue::EMAIL, body.as_bytes(), properties).await;
    world.smtp.wait_for_mails(3, PATIENCE).await;
    world.keeps_from(NOBODY).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn what_somebody_puts_back_is_tried_and_ends_the_suppression_if_it_is_taken() {
    let world = World::new().await;
    world.smtp.set_script(nobody_there());
    let worker = world.remembering_worker().await;
    world.takes("ada@example.com").await;
    world.register(NOBODY).await;
    let letters = async || (world.waiting(queue::DEAD).await == 1).then_some(());
    eventually("a dead letter", PATIENCE, letters).await;
    world.takes("bob@example.com").await;
    world.suppresses(1).await;
    world.keeps_from(NOBODY).await;
    world.smtp.set_script(Script::healthy());
    let (code, lines) = run(&["redrive"], &[("AMQP_URL", world.vhost.amqp_url().to_owned())]).await;
    assert_eq!(code, 0, "{lines:?}");
    world.smtp.wait_for_mails(3, PATIENCE).await;
    world.suppresses(0).await;
    world.takes(NOBODY).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_suppression_that_is_over_holds_nothing_back_and_a_new_refusal_begins_it_anew() {
    let world = World::new().await;
    world.smtp.set_script(nobody_there());
    let worker = world.remembering_worker().await;
    world.learns_of_nobody().await;
    let over = "UPDATE suppressions SET since = now() - interval '2 days', until = now() - interval '1 day'";
    sqlx::query(over).execute(world.database.pool()).await.unwrap();
    world.refuses(NOBODY, "user-unknown").await;
    world.takes("ada@example.com").await;
    let anew = "SELECT count(*) FROM suppressions WHERE until > now() + interval '179 days' AND since > now() - interval '1 day'";
    eventually("suppressed anew", PATIENCE, async || {
        let count: i64 = sqlx::query_scalar(anew).fetch_one(world.database.pool()).await.unwrap();
        (count == 1).then_some(())
    })
    .await;
    world.keeps_from(NOBODY).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn what_was_hashed_with_the_old_key_holds_as_long_as_that_is_given() {
    let world = World::new().await;
    world.smtp.set_script(nobody_there());
    let worker = world.remembering_worker().await;
    world.learns_of_nobody().await;
    worker.stop().await;
    let both = world.worker_with(&[("ADDRESS_HASH_KEY", ANOTHER), ("ADDRESS_HASH_KEY_OLD", KEY)]).await;
    world.keeps_from(NOBODY).await;
    both.stop().await;
    let new_alone = world.worker_with(&[("ADDRESS_HASH_KEY", ANOTHER)]).await;
    world.refuses(NOBODY, "user-unknown").await;
    world.ends_clean(new_alone).await;
}

#[tokio::test]
async fn without_a_key_nobody_is_remembered_and_nobody_suppressed() {
    let world = World::new().await;
    world.smtp.set_script(nobody_there());
    let worker = world.remembering_worker().await;
    world.learns_of_nobody().await;
    worker.stop().await;
    let without = world.worker().await;
    world.refuses(NOBODY, "user-unknown").await;
    world.takes("ada@example.com").await;
    world.ends_clean(without).await;
}

#[tokio::test]
async fn a_database_that_is_away_when_a_refusal_is_believed_loses_neither_mail_nor_suppression() {
    let server = Postgres::start().await;
    let world = World::within(testkit::vhost().await, server.database().await, SmtpOptions::default()).await;
    let slow = nobody_there().delay_at(Stage::Content, Duration::from_millis(500)).for_recipient("slow@example.com");
    world.smtp.set_script(slow);
    let worker = world.remembering_worker().await;
    world.takes("ada@example.com").await;
    world.marked(1).await;
    world.refuses(NOBODY, "user-unknown").await;
    let asked = world.smtp.mail_from_times().len();
    world.register("slow@example.com").await;
    let spoken_of = async || (world.smtp.mail_from_times().len() > asked).then_some(());
    eventually("the slow mail is under way", PATIENCE, spoken_of).await;
    server.kill();
    world.smtp.wait_for_mails(2, PATIENCE).await;
    server.restart().await;
    world.marked(2).await;
    world.suppresses(1).await;
    worker.circuit_closes().await;
    world.keeps_from(NOBODY).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 2, "a mail was repeated");
}

#[tokio::test]
async fn the_commands_add_check_list_and_remove() {
    let world = World::new().await;
    let worker = world.remembering_worker().await;
    let (code, lines) = world.suppressions(&["check", NOBODY], &[]).await;
    assert_eq!((code, lines.as_slice()), (1, ["not suppressed".to_owned()].as_slice()));
    let (code, lines) = world.suppressions(&["list"], &[("ADDRESS_HASH_KEY", "")]).await;
    assert_eq!((code, lines.as_slice()), (0, ["no suppressions".to_owned()].as_slice()));

    let added = world.suppressions(&["add", NOBODY, "--for", "30d", "--reason", "asked us"], &[]).await;
    assert_eq!(added, (0, vec!["suppressed".to_owned()]));
    let (code, lines) = world.suppressions(&["add", "Nobody@EXAMPLE.com"], &[]).await;
    assert!(code == 0 && lines[0].starts_with("suppressed already"), "{lines:?}");
    let (code, lines) = world.suppressions(&["check", NOBODY], &[]).await;
    assert!(code == 0 && lines[0].ends_with("asked us (command)"), "{lines:?}");
    world.keeps_from(NOBODY).await;

    let (_, lines) = world.suppressions(&["list", "--json"], &[]).await;
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&line["reason"], &line["source"]), (&json!("asked us"), &json!("command")));
    let (_, lines) = world.suppressions(&["list"], &[]).await;
    assert!(lines.len() == 2 && lines[0].starts_with("HASH          REASON"), "{lines:?}");
    assert!(!lines.concat().contains("nobody"), "{lines:?}");

    assert_eq!(world.suppressions(&["remove", NOBODY], &[]).await.0, 0);
    assert_eq!(world.suppressions(&["remove", NOBODY], &[]).await.0, 1);
    world.takes(NOBODY).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_command_that_cannot_work_names_the_reason() {
    let world = World::new().await;
    for (arguments, changes, code, named) in [
        (&["check", NOBODY][..], &[("ADDRESS_HASH_KEY", "")][..], 64, "ADDRESS_HASH_KEY is missing"),
        (&["check", NOBODY], &[("ADDRESS_HASH_KEY", "short")], 64, "ADDRESS_HASH_KEY"),
        (&["add", "nobody@@"], &[], 64, "ADDRESS"),
        (&["add", NOBODY, "--reason", "it was eve@example.com"], &[], 64, "without an address"),
        (&["check", NOBODY], &[("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")], 69, "the database"),
        (&["import", "no-such-file"], &[], 69, "no-such-file"),
    ] {
        let (ended, lines) = world.suppressions(arguments, changes).await;
        let said = lines.concat();
        assert!(ended == code && said.contains(named), "{arguments:?}: {ended}, {lines:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn a_file_is_imported_once_however_often_and_lines_that_are_none_are_named() {
    let world = World::new().await;
    let directory = Dir::new("import");
    let file = directory.path().join("addresses.txt");
    let mut content: String = (0..2_500).map(|n| format!("gone-{n}@example.com\n")).collect();
    content += "# left in May\n\nno address\nnobody@example.com\r\n";
    fs::write(&file, &content).unwrap();
    let path = file.to_str().unwrap();
    for new in ["2501", "0"] {
        let (code, lines) = world.suppressions(&["import", path], &[]).await;
        assert_eq!(code, 65, "{lines:?}");
        let said = |part: &str| lines.iter().any(|line| line.contains(part));
        assert!(said("addresses.txt:2503: must have the form name@domain"), "{lines:?}");
        assert!(said(&format!("2501 addresses read, {new} of them not suppressed before")), "{lines:?}");
    }
    assert_eq!(world.suppressed().await, 2_501);
    let worker = world.remembering_worker().await;
    world.keeps_from(NOBODY).await;
    world.keeps_from("gone-1234@example.com").await;
    world.ends_clean(worker).await;
}
