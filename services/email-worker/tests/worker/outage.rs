//! The mail server, our login or our sender has an outage: the circuit opens, and no mail spends an attempt.

use std::sync::atomic::{AtomicUsize, Ordering};

use contract::{header, queue};
use testkit::{Postgres, Script, SmtpOptions, Stage, eventually};
use tokio::net::TcpListener;

use crate::helpers::{PATIENCE, Running, World};

/// One outage after the other: each must open the circuit for this reason, leave the mail alone, and be over as soon as
/// the server is well.
async fn goes_through(world: &World, worker: &Running, table: &[(&str, Script, &str)]) {
    for (row, (name, script, cause)) in table.iter().enumerate() {
        // Sessions of healthier days would not be asked again.
        world.smtp.cut_connections().await;
        world.smtp.set_script(script.clone());
        world.register(&format!("row-{row}@example.com")).await;
        worker.circuit_opens(cause).await;
        assert_eq!(world.retrying().await, 0, "{name}: an attempt was spent");
        world.smtp.set_script(Script::healthy());
        let mails = world.smtp.wait_for_mails(row + 1, PATIENCE).await;
        assert_eq!(mails.len(), row + 1, "{name}");
        worker.circuit_closes().await;
        assert_eq!(world.waiting(queue::DEAD).await, 0, "{name}: a mail was given up");
    }
    world.marked(i64::try_from(table.len()).unwrap()).await;
}

#[tokio::test]
async fn whatever_stands_against_us_opens_the_circuit_and_spends_nothing() {
    let world = World::new().await;
    let worker = world.worker_with(&[("SMTP_CONNECT_TIMEOUT", "500ms"), ("SENDING_SLOTS", "2")]).await;
    let at = |stage, reply| Script::healthy().reply(stage, reply);
    let table = [
        ("no greeting, for good", at(Stage::Connect, "554 5.3.2 no service"), "not-greeted"),
        ("no greeting, for now", at(Stage::Connect, "421 4.3.2 too busy"), "not-greeted"),
        ("hangs up at once", Script::healthy().drop_at(Stage::Connect), "unreachable"),
        ("never greets", Script::healthy().hang_at(Stage::Connect), "unreachable"),
        ("does not like our name", at(Stage::Ehlo, "550 5.7.1 who are you"), "not-greeted"),
        ("sender refused for now", at(Stage::Mail, "450 4.1.8 no such domain"), "sender-refused"),
        ("has trouble of its own", at(Stage::Mail, "554 5.3.0 broken"), "server-error"),
        ("sender refused for good", at(Stage::Mail, "550 5.7.1 not you"), "sender-refused"),
        ("wants a login at MAIL", at(Stage::Mail, "530 5.7.0 log in first"), "login-wanted"),
        ("wants another login at RCPT", at(Stage::Rcpt, "535 5.7.8 not you"), "login-wanted"),
        ("wants a stronger login at DATA", at(Stage::Data, "534 5.7.9 too weak"), "login-wanted"),
        ("wants a secure login", at(Stage::Rcpt, "538 5.7.11 encrypt first"), "login-wanted"),
        ("wants TLS", at(Stage::Content, "454 4.7.0 TLS is not available"), "login-wanted"),
    ];
    goes_through(&world, &worker, &table).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), table.len());
}

#[tokio::test]
async fn a_login_that_is_refused_opens_the_circuit() {
    let login = ("worker".to_owned(), "password".to_owned());
    let world = World::with(SmtpOptions { auth: Some(login), ..SmtpOptions::default() }).await;
    let worker = world.worker_with(&[("SMTP_USERNAME", "worker"), ("SMTP_PASSWORD", "password")]).await;
    let at = |reply| Script::healthy().reply(Stage::Auth, reply);
    let table = [
        ("wrong password", at("535 5.7.8 no"), "login-refused"),
        ("needs another mechanism", at("534 5.7.9 no"), "login-refused"),
        ("the server's directory is away", at("454 4.7.0 temporary failure"), "not-greeted"),
    ];
    goes_through(&world, &worker, &table).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_size_or_an_address_refused_at_mail_is_the_mails_own_fault() {
    let world = World::new().await;
    let worker = world.worker().await;
    for (reply, reason) in [
        ("552 5.3.4 too big", "mail-too-large"),
        ("554 5.3.4 too big", "mail-too-large"),
        ("553 5.6.7 no SMTPUTF8", "needs-smtputf8"),
        ("555 5.6.7 no SMTPUTF8", "needs-smtputf8"),
        ("550 5.6.7 no SMTPUTF8", "needs-smtputf8"),
    ] {
        world.smtp.set_script(Script::healthy().reply(Stage::Mail, reply));
        world.register("ada@example.com").await;
        let dead = world.dead_letter().await;
        assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some(reason), "{reply}");
    }
    assert!(worker.is_sending().await, "the circuit opened");
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn an_address_beyond_ascii_goes_where_the_server_can_and_is_put_aside_elsewhere() {
    let world = World::with(SmtpOptions { smtputf8: false, ..SmtpOptions::default() }).await;
    let worker = world.worker().await;
    world.register("jürgen@example.com").await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("needs-smtputf8"));
    world.register("ada@bücher.example").await;
    let mails = world.smtp.wait_for_mails(1, PATIENCE).await;
    assert_eq!(mails[0].to, ["ada@xn--bcher-kva.example"]);
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_server_that_refuses_connections_gets_its_mails_later() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.loses_its_mail_server().await;
    world.register_many("waiting", 30).await;
    worker.circuit_opens("unreachable").await;
    assert_eq!(world.retrying().await, 0, "an attempt was spent");
    world.smtp.listen_again().await;
    world.smtp.wait_for_mails(30, PATIENCE).await;
    world.marked(30).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 30);
}

#[tokio::test]
async fn a_server_that_hangs_altogether_costs_no_attempt() {
    let world = World::new().await;
    let worker = world
        .worker_with(&[("SMTP_CONNECT_TIMEOUT", "500ms"), ("SEND_TIMEOUT", "500ms"), ("SENDING_SLOTS", "4")])
        .await;
    world.register_many("before", 4).await;
    world.smtp.wait_for_mails(4, PATIENCE).await;
    // Stopped where it stands: what is asked of open sessions is not answered, and new ones are not greeted.
    world.smtp.pause();
    world.register_many("after", 20).await;
    worker.circuit_opens("unreachable").await;
    assert_eq!(world.retrying().await, 0, "an attempt was spent");
    world.smtp.resume();
    // What was asked while it stood still is answered now, to nobody: none of it had come as far as the dot.
    let all = |mails: &[testkit::Mail]| {
        let to: std::collections::BTreeSet<_> = mails.iter().map(|mail| mail.to.clone()).collect();
        to.len()
    };
    eventually("24 people have their mail", PATIENCE, async || (all(&world.smtp.mails()) == 24).then_some(())).await;
    world.marked(24).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 24, "a mail was repeated");
}

#[tokio::test]
async fn an_idle_session_that_the_server_has_closed_is_no_failure() {
    let world = World::new().await;
    let worker = world.worker_with(&[("SENDING_SLOTS", "1")]).await;
    world.register("first@example.com").await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.marked(1).await;
    world.smtp.cut_connections().await;
    world.register("second@example.com").await;
    world.smtp.wait_for_mails(2, PATIENCE).await;
    assert!(worker.is_sending().await, "a stale session opened the circuit");
    assert_eq!(world.retrying().await, 0);
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_login_refused_for_a_while_costs_a_fleet_with_a_thousand_tasks_no_attempt() {
    let login = ("worker".to_owned(), "password".to_owned());
    let world = World::with(SmtpOptions { auth: Some(login), ..SmtpOptions::default() }).await;
    let login = [("SMTP_USERNAME", "worker"), ("SMTP_PASSWORD", "password")];
    let (one, other) = (world.worker_with(&login).await, world.worker_with(&login).await);
    world.falls_into(Script::healthy().reply(Stage::Auth, "535 5.7.8 no")).await;
    world.register_many("user", 1000).await;
    one.circuit_opens("login-refused").await;
    other.circuit_opens("login-refused").await;
    // Still refused at the probes that follow.
    let refusals = || world.smtp.counts().commands.get(&Stage::Auth).copied().unwrap_or_default();
    let so_far = refusals();
    eventually("more logins are tried", PATIENCE, async || (refusals() >= so_far + 4).then_some(())).await;
    assert!(refusals() < 60, "the server is hammered: {} logins", refusals());
    assert_eq!(world.retrying().await, 0, "an attempt was spent");
    assert_eq!(world.smtp.counts().commands.get(&Stage::Mail), None);
    world.smtp.set_script(Script::healthy());
    world.smtp.wait_for_mails(1000, 2 * PATIENCE).await;
    world.marked(1000).await;
    other.stop().await;
    world.ends_clean(one).await;
    assert_eq!(world.smtp.mails().len(), 1000, "a mail was repeated");
}

/// Stands where a database was: counts those who connect, and hangs up.
async fn counting(port: u16, asked: &AtomicUsize) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    while listener.accept().await.is_ok() {
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn while_mail_server_and_ledger_are_both_ill_neither_is_asked_without_a_pause() {
    let server = Postgres::start().await;
    let world = World::within(testkit::vhost().await, server.database().await, SmtpOptions::default()).await;
    let worker = world.worker().await;
    world.falls_into(Script::healthy().reply(Stage::Connect, "421 4.3.2 not now")).await;
    world.register("first@example.com").await;
    worker.circuit_opens("not-greeted").await;
    server.kill();
    let (asked, greeted) = (AtomicUsize::new(0), || world.smtp.counts().connections);
    let both_ill = async {
        world.register_many("later", 30).await;
        let begun = async || (asked.load(Ordering::Relaxed) > 0).then_some(());
        eventually("the ledger is asked", PATIENCE, begun).await;
        let before = greeted();
        eventually("the mail server is probed", PATIENCE, async || (greeted() >= before + 3).then_some(())).await;
    };
    tokio::select! {
        () = counting(server.port(), &asked) => {}
        () = both_ill => {}
    }
    // At most ten connections a statement, and the claims of 31 tasks share some statements.
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked < 400, "the ledger was asked {asked} times between three probes of the mail server");
    server.restart().await;
    world.smtp.set_script(Script::healthy());
    world.smtp.wait_for_mails(31, PATIENCE).await;
    world.marked(31).await;
    world.ends_clean(worker).await;
}
