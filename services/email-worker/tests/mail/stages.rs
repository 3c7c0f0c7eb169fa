//! Each refusal is seen at its stage, with its code.

use testkit::{Script, SmtpOptions as ServerOptions, SmtpServer, Stage};

use crate::{impatient, impatient_to_open, mail, open, options, patient, short};
use email_worker::smtp::Transport;

#[tokio::test]
async fn an_accepted_mail_arrives_as_it_was_rendered() {
    let server = SmtpServer::start(ServerOptions::default()).await;
    let mut session = open(&server).await;
    let mail = mail();
    let accepted = session.send(&mail).await.unwrap();
    assert_eq!(accepted.reply, "2.0.0 taken");
    let taken = server.mails();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].from, "no-reply@example.com");
    assert_eq!(taken[0].to, ["ada@example.com"]);
    assert_eq!(taken[0].parameters, "", "nothing is asked of the server that the mail does not need");
    assert_eq!(String::from_utf8_lossy(&taken[0].data), String::from_utf8_lossy(mail.bytes()));
}

#[tokio::test]
async fn a_refusal_is_seen_at_its_stage_and_the_session_goes_on() {
    for pipelining in [true, false] {
        refusals(SmtpServer::start(ServerOptions { pipelining, ..ServerOptions::default() }).await).await;
    }
}

async fn refusals(server: SmtpServer) {
    let mut session = open(&server).await;
    for (stage, reply, expected) in [
        (Stage::Mail, "451 4.3.0 later", "mail 451 4.3.0"),
        (Stage::Mail, "550 5.7.1 not you", "mail 550 5.7.1"),
        (Stage::Mail, "530 5.7.0 log in", "mail 530 5.7.0"),
        (Stage::Rcpt, "450 4.2.0 greylisted", "rcpt 450 4.2.0"),
        (Stage::Rcpt, "550 5.1.1 <ada@example.com> unknown\n5.1.1 really", "rcpt 550 5.1.1"),
        (Stage::Rcpt, "552 mailbox full", "rcpt 552"),
        (Stage::Data, "451 4.3.2 busy", "data 451 4.3.2"),
        (Stage::Data, "554 5.5.1 no", "data 554 5.5.1"),
        (Stage::Content, "452 4.3.1 disk full", "content 452 4.3.1"),
        (Stage::Content, "554 5.7.1 spam", "content 554 5.7.1"),
    ] {
        server.set_script(Script::healthy().reply(stage, reply).times(1));
        let error = session.send(&mail()).await.unwrap_err();
        assert_eq!(short(&error), expected, "{reply}");
        assert!(!error.to_string().contains("ada@"), "the address stands in: {error}");
        assert!(session.is_usable(), "after {reply}");
        session.send(&mail()).await.unwrap_or_else(|error| panic!("after {reply}: {error}"));
    }
    assert_eq!(server.counts().connections, 1, "every refusal was followed by RSET on the same connection");
}

#[tokio::test]
async fn a_conversation_that_breaks_off_is_seen_at_its_stage_and_the_session_ends() {
    for pipelining in [true, false] {
        breaks(SmtpServer::start(ServerOptions { pipelining, ..ServerOptions::default() }).await).await;
    }
}

async fn breaks(server: SmtpServer) {
    for (stage, slug) in
        [(Stage::Mail, "mail"), (Stage::Rcpt, "rcpt"), (Stage::Data, "data"), (Stage::Content, "content")]
    {
        // The dot was said.
        let unknown = if stage == Stage::Content { "unanswered " } else { "" };
        for (script, expected) in [
            (Script::healthy().drop_at(stage), format!("{slug} {unknown}dropped")),
            (Script::healthy().hang_at(stage), format!("{slug} {unknown}timeout")),
            (Script::healthy().reply(stage, "421 4.3.2 closing"), format!("{slug} 421 4.3.2")),
            (Script::healthy().reply(stage, "250 what").times(1), String::new()),
        ] {
            server.set_script(Script::healthy());
            let transport = if expected.ends_with("timeout") { impatient(&server) } else { patient(&server) };
            let mut session = transport.open().await.unwrap();
            server.set_script(script);
            let outcome = session.send(&mail()).await;
            if expected.is_empty() {
                // 2yz is a fine answer to all but DATA.
                assert_eq!(
                    outcome.err().map(|error| short(&error)),
                    (slug == "data").then(|| "data protocol".to_owned())
                );
                continue;
            }
            assert_eq!(short(&outcome.unwrap_err()), expected);
            assert!(!session.is_usable(), "after {expected}");
            assert!(session.send(&mail()).await.is_err(), "a session that is over sends nothing");
        }
    }
}

#[tokio::test]
async fn whatever_fails_before_the_first_mail_fails_at_connect() {
    let server = SmtpServer::start(ServerOptions::default()).await;
    for (script, expected) in [
        (Script::healthy().reply(Stage::Connect, "421 4.3.2 too busy"), "connect 421 4.3.2"),
        (Script::healthy().reply(Stage::Connect, "554 go away"), "connect 554"),
        (Script::healthy().drop_at(Stage::Connect), "connect dropped"),
        (Script::healthy().hang_at(Stage::Connect), "connect timeout"),
        (Script::healthy().reply(Stage::Ehlo, "500 what"), "connect 500"),
        (Script::healthy().drop_at(Stage::Ehlo), "connect dropped"),
        (Script::healthy().hang_at(Stage::Ehlo), "connect timeout"),
    ] {
        server.set_script(script);
        let transport = if expected.ends_with("timeout") { impatient_to_open(&server) } else { patient(&server) };
        let error = transport.open().await.unwrap_err();
        assert_eq!(short(&error), expected);
    }
    server.stop_listening().await;
    let error = patient(&server).open().await.unwrap_err();
    assert_eq!(short(&error), "connect unreachable");
    let nowhere = email_worker::smtp::SmtpOptions { host: "nowhere.invalid".to_owned(), ..options(&server) };
    let error = Transport::smtp(nowhere).unwrap().open().await.unwrap_err();
    assert_eq!(short(&error), "connect unreachable");
}

#[tokio::test]
async fn odd_answers_to_ehlo_are_no_reason_to_panic() {
    let server = SmtpServer::start(ServerOptions::default()).await;
    for (offer, expected) in [
        ("250 ", "connect protocol"),
        ("250 localhost\n \n", "open"),
        ("250 localhost\n\nSIZE", "open"),
        ("250 localhost\nAUTH\nAUTH=LOGIN\nSIZE x\nsmtputf8", "open"),
    ] {
        server.set_script(Script::healthy().reply(Stage::Ehlo, offer));
        let opened = patient(&server).open().await;
        assert_eq!(opened.map_or_else(|error| short(&error), |_| "open".to_owned()), expected, "{offer:?}");
    }
}

const HELLO: &[u8] = b"250-hi\r\n250 pipelining\r\n";
const HANG_UP: &[u8] = b"";

/// A server that says these things, and hears something after each but the one before it hangs up.
async fn scripted(answers: &'static [&'static [u8]]) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        for (n, answer) in answers.iter().enumerate() {
            tcp.write_all(answer).await.unwrap();
            if answers.get(n + 1) == Some(&HANG_UP) {
                break;
            }
            if tcp.read_buf(&mut heard).await.unwrap() == 0 {
                break;
            }
        }
        heard
    });
    (port, server)
}

async fn send_scripted(answers: &'static [&'static [u8]]) -> (String, bool, String) {
    let (port, server) = scripted(answers).await;
    let options = email_worker::smtp::SmtpOptions {
        host: "127.0.0.1".to_owned(),
        port,
        tls: email_worker::smtp::Tls::None,
        login: None,
        helo: "localhost".to_owned(),
        connect_timeout: std::time::Duration::from_secs(5),
        send_timeout: std::time::Duration::from_secs(5),
        data_timeout: std::time::Duration::from_secs(5),
    };
    let mut session = Transport::smtp(options).unwrap().open().await.unwrap();
    let error = session.send(&mail()).await.unwrap_err();
    let usable = session.is_usable();
    drop(session);
    (short(&error), usable, String::from_utf8(server.await.unwrap()).unwrap())
}

#[tokio::test]
async fn an_answer_that_is_not_utf8_keeps_its_code() {
    let answers: &[&[u8]] = &[
        b"220 hi\r\n",
        b"250 hi\r\n",
        b"250 hi\r\n",
        b"250 ok\r\n",
        b"550 5.1.1 Empf\xe4nger unbekannt\r\n",
        b"250\r\n",
    ];
    let (error, usable, _) = send_scripted(answers).await;
    assert_eq!((error.as_str(), usable), ("rcpt 550 5.1.1", true));
}

#[tokio::test]
async fn an_answer_without_a_text_is_an_answer() {
    let server = SmtpServer::start(ServerOptions::default()).await;
    server
        .set_script(Script::healthy().reply(Stage::Mail, "250").reply(Stage::Rcpt, "250").reply(Stage::Content, "250"));
    let mut session = open(&server).await;
    session.send(&mail()).await.unwrap();
    let (error, usable, _) = send_scripted(&[b"220\r\n", b"250 hi\n", b"250 hi\n", b"550\r\n", b"250\r\n"]).await;
    assert_eq!((error.as_str(), usable), ("mail 550", true));
}

#[tokio::test]
async fn a_server_that_waits_for_a_mail_to_nobody_is_given_none_of_ours() {
    let answers: &[&[u8]] =
        &[b"220 hi\r\n", HELLO, HELLO, b"250 ok\r\n550 5.1.1 no\r\n354 go on\r\n", b"554 nobody\r\n", b"250 ok\r\n"];
    let (error, usable, heard) = send_scripted(answers).await;
    assert_eq!((error.as_str(), usable), ("rcpt 550 5.1.1", true));
    assert!(heard.ends_with("DATA\r\n.\r\nRSET\r\n"), "{heard}");

    let answers: &[&[u8]] = &[b"220 hi\r\n", HELLO, HELLO, b"451 later\r\n250 ok\r\n354 go on\r\n", b"250 ok\r\n"];
    let (error, usable, heard) = send_scripted(answers).await;
    assert_eq!((error.as_str(), usable), ("mail protocol", false));
    assert!(heard.ends_with("DATA\r\n"), "{heard}");
}

#[tokio::test]
async fn a_server_that_refuses_and_hangs_up_has_refused() {
    let (error, usable, _) = send_scripted(&[b"220 hi\r\n", HELLO, HELLO, b"550 5.7.1 no\r\n", HANG_UP]).await;
    assert_eq!((error.as_str(), usable), ("mail 550 5.7.1", false));
}
