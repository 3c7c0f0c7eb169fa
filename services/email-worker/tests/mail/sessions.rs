//! One session, many mails: kept, found dead, given up half way.

use std::time::Duration;

use email_worker::smtp::{SmtpOptions, Transport};
use testkit::{Script, SmtpOptions as ServerOptions, SmtpServer, Stage, eventually};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{LIMIT, impatient, impatient_to_open, mail, open, options, short};

const SOON: Duration = Duration::from_secs(5);

async fn server() -> SmtpServer {
    SmtpServer::start(ServerOptions::default()).await
}

#[tokio::test]
async fn many_mails_go_over_one_connection_without_waiting_for_acknowledgements() {
    let server = server().await;
    let mut session = open(&server).await;
    let start = Instant::now();
    for _ in 0..100 {
        session.send(&mail()).await.unwrap();
    }
    // With Nagle's algorithm and delayed acknowledgements it would be 40 ms a mail.
    assert!(start.elapsed() < Duration::from_millis(2_500), "took {:?}", start.elapsed());
    assert_eq!(server.counts().connections, 1);
    assert_eq!(server.mails().len(), 100);
    session.quit().await;
    eventually("the connection is closed", SOON, async || (server.counts().open == 0).then_some(())).await;
    assert_eq!(server.counts().commands.get(&Stage::Quit), Some(&1));
}

#[tokio::test]
async fn a_session_that_was_closed_while_idle_is_stale_and_a_new_one_is_not() {
    let server = server().await;
    let mut session = open(&server).await;
    session.send(&mail()).await.unwrap();
    server.cut_connections().await;
    let error = session.send(&mail()).await.unwrap_err();
    assert_eq!(short(&error), "mail dropped stale");

    let mut session = open(&server).await;
    session.send(&mail()).await.unwrap();
    server.set_script(Script::healthy().reply(Stage::Mail, "421 4.4.2 idle for too long"));
    let error = session.send(&mail()).await.unwrap_err();
    assert_eq!(short(&error), "mail 421 4.4.2 stale");

    let mut session = open(&server).await;
    let error = session.send(&mail()).await.unwrap_err();
    assert_eq!(short(&error), "mail 421 4.4.2", "the first mail of a session is no proof of idleness");
}

#[tokio::test]
async fn a_check_tells_whether_the_server_is_still_there() {
    let server = server().await;
    let mut session = open(&server).await;
    assert!(session.check().await);
    assert!(session.idle_for() < SOON);
    server.cut_connections().await;
    assert!(!session.check().await);
    assert!(!session.is_usable());
    session.quit().await;
}

#[tokio::test]
async fn a_server_that_stands_still_costs_one_send_timeout_and_the_session() {
    let server = server().await;
    let mut session = impatient(&server).open().await.unwrap();
    server.pause();
    let start = Instant::now();
    let error = session.send(&mail()).await.unwrap_err();
    assert_eq!(short(&error), "mail timeout");
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    assert_eq!(short(&impatient_to_open(&server).open().await.unwrap_err()), "connect timeout");
    server.resume();
}

#[tokio::test]
async fn the_limit_is_for_all_that_comes_before_the_dot_however_slowly_each_answer_comes() {
    let server = server().await;
    let slow = LIMIT / 2;
    let mut session = impatient(&server).open().await.unwrap();
    server.set_script(
        Script::healthy().delay_at(Stage::Mail, slow).delay_at(Stage::Rcpt, slow).delay_at(Stage::Data, slow),
    );
    let error = session.send(&mail()).await.unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
}

#[tokio::test]
async fn the_answer_to_the_dot_has_a_limit_of_its_own() {
    let server = server().await;
    server.set_script(Script::healthy().delay(LIMIT * 3));
    let (short_send, short_data) = (LIMIT, LIMIT * 10);
    for (send_timeout, data_timeout, expected) in
        [(short_send, short_data, "taken"), (short_data, short_send, "content unanswered timeout")]
    {
        let options = SmtpOptions { send_timeout, data_timeout, ..options(&server) };
        let mut session = Transport::smtp(options).unwrap().open().await.unwrap();
        let outcome = session.send(&mail()).await.map_or_else(|error| short(&error), |_| "taken".to_owned());
        assert_eq!(outcome, expected, "send {send_timeout:?}, data {data_timeout:?}");
    }
}

#[tokio::test]
async fn what_is_cut_off_is_unknown_from_the_dot_on() {
    let server = server().await;
    for (stage, expected) in [(Stage::Rcpt, "rcpt cut off"), (Stage::Content, "content unanswered cut off")] {
        server.set_script(Script::healthy().hang_at(stage));
        let mut session = open(&server).await;
        let cut_off = CancellationToken::new();
        let (mail, said) = (mail(), || server.counts().commands.get(&stage).copied().unwrap_or_default());
        let (outcome, ()) = tokio::join!(session.send_until(&mail, &cut_off, &|| ()), async {
            eventually("it hangs", SOON, async || (said() > 0).then_some(())).await;
            cut_off.cancel();
        });
        assert_eq!(short(&outcome.unwrap_err()), expected);
        assert!(!session.is_usable());
    }
}

#[tokio::test]
async fn a_send_that_is_dropped_half_way_leaves_no_session_behind() {
    let server = server().await;
    let mut session = open(&server).await;
    server.set_script(Script::healthy().hang_at(Stage::Content));
    assert!(timeout(LIMIT, session.send(&mail())).await.is_err());
    assert!(!session.is_usable(), "the answer to this mail would be taken for the answer to the next");
    eventually("the connection is closed", SOON, async || (server.counts().open == 0).then_some(())).await;
}

#[tokio::test]
async fn a_server_that_forgets_to_answer_rset_costs_the_session_alone() {
    let server = server().await;
    let unhurried = SmtpOptions { send_timeout: LIMIT * 5, ..options(&server) };
    let mut session = Transport::smtp(unhurried).unwrap().open().await.unwrap();
    server.set_script(Script::healthy().reply(Stage::Rcpt, "550 5.1.1 no").hang_at(Stage::Rset));
    assert_eq!(short(&session.send(&mail()).await.unwrap_err()), "rcpt 550 5.1.1");
    assert!(!session.is_usable());
}

#[tokio::test]
async fn goodbye_does_not_wait_for_a_server_that_hangs() {
    let server = server().await;
    let session = open(&server).await;
    server.set_script(Script::healthy().hang_at(Stage::Quit));
    timeout(SOON, session.quit()).await.expect("quit is bounded");
}
