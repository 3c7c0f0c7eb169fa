//! The mail server does what its script says, and what a real one would where a client is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::{Script, SmtpOptions, SmtpServer, Stage};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A client that says what it is told to.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(server: &SmtpServer) -> (Self, String) {
        let mut client = Self(BufReader::new(TcpStream::connect(server.addr()).await.unwrap()));
        let greeting = client.reply().await;
        (client, greeting)
    }

    /// The code of the next reply; empty when the connection was closed instead.
    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.unwrap_or(0) == 0 {
                return String::new();
            }
            if line.as_bytes()[3] == b' ' {
                return line[..3].to_owned();
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        if self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.is_err() {
            return String::new();
        }
        self.reply().await
    }
}

/// The codes that a client gets for one mail, up to the first that is not 2yz or 3yz.
async fn send(server: &SmtpServer, to: &str) -> String {
    let (mut client, greeting) = Client::connect(server).await;
    let mut codes = vec![greeting];
    let rcpt = format!("RCPT TO:<{to}>");
    for line in ["EHLO test", "MAIL FROM:<us@example.com>", &rcpt, "DATA", "Subject: hi\r\n\r\n..dot\r\n."] {
        if !codes.last().unwrap().starts_with(['2', '3']) {
            break;
        }
        codes.push(client.say(line).await);
    }
    codes.join(" ").trim_end().to_owned()
}

#[tokio::test]
async fn every_stage_can_refuse_and_drop() {
    let server = SmtpServer::start(SmtpOptions::default()).await;
    let table = [
        (Script::healthy(), "220 250 250 250 354 250"),
        (Script::healthy().reply(Stage::Connect, "554 go away"), "554"),
        (Script::healthy().drop_at(Stage::Connect), ""),
        (Script::healthy().reply(Stage::Ehlo, "421 busy"), "220 421"),
        (Script::healthy().reply(Stage::Mail, "451 4.3.0 trouble"), "220 250 451"),
        (Script::healthy().drop_at(Stage::Mail), "220 250"),
        (Script::healthy().reply(Stage::Rcpt, "450 4.2.0 later\nor never"), "220 250 250 450"),
        (Script::healthy().reply(Stage::Rcpt, "550 no").for_recipient("bob@example.com"), "220 250 250 250 354 250"),
        (Script::healthy().reply(Stage::Rcpt, "550 no").for_recipient("Ann@example.com"), "220 250 250 550"),
        (Script::healthy().reply(Stage::Data, "554 no"), "220 250 250 250 554"),
        (Script::healthy().drop_at(Stage::Data), "220 250 250 250"),
        (Script::healthy().reply(Stage::Content, "552 5.2.2 full"), "220 250 250 250 354 552"),
        (Script::healthy().drop_at(Stage::Content), "220 250 250 250 354"),
        (Script::healthy().accept_then_drop(), "220 250 250 250 354"),
    ];
    for (script, want) in table {
        server.set_script(script.clone());
        assert_eq!(send(&server, "ann@example.com").await, want, "{script:?}");
    }
    assert_eq!(server.mails().len(), 3, "healthy, another's refusal, and taken then dropped");
}

#[tokio::test]
async fn greylisting_takes_the_third_attempt() {
    let server = SmtpServer::start(SmtpOptions::default()).await;
    server.set_script(Script::healthy().greylisting(2));
    for want in ["220 250 250 450", "220 250 250 450", "220 250 250 250 354 250"] {
        assert_eq!(send(&server, "ann@example.com").await, want);
    }
    assert_eq!(server.mail_from_times().len(), 3);
}

#[tokio::test]
async fn mails_are_recorded_as_they_were_meant() {
    let server = SmtpServer::start(SmtpOptions::default()).await;
    send(&server, "ann@example.com").await;
    let mails = server.wait_for_mails(1, Duration::from_secs(1)).await;
    assert_eq!(
        (mails[0].from.as_str(), mails[0].to.as_slice()),
        ("us@example.com", &["ann@example.com".to_owned()][..])
    );
    assert_eq!(mails[0].data, b"Subject: hi\r\n\r\n.dot\r\n");
    assert_eq!(mails[0].parsed().subject(), Some("hi"));
}

#[tokio::test]
async fn the_hook_sees_the_recipient_before_the_answer() {
    let server = SmtpServer::start(SmtpOptions::default()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    server.on_command(move |stage, to| log.lock().unwrap().push((stage, to.map(str::to_owned))));
    let (mut client, _) = Client::connect(&server).await;
    client.say("EHLO test").await;
    client.say("MAIL FROM:<us@example.com>").await;
    client.say("RCPT TO:<ann@example.com>").await;
    assert_eq!(seen.lock().unwrap().last(), Some(&(Stage::Rcpt, Some("ann@example.com".to_owned()))));
}

#[tokio::test]
async fn hanging_delaying_and_pausing_keep_the_connection_open() {
    let server = SmtpServer::start(SmtpOptions::default()).await;
    let (mut client, _) = Client::connect(&server).await;
    server.pause();
    assert!(tokio::time::timeout(Duration::from_millis(100), client.say("EHLO a")).await.is_err(), "paused");
    server.resume();
    assert_eq!(client.reply().await, "250", "resumed, it answers what was asked meanwhile");

    server.set_script(Script::healthy().delay_at(Stage::Noop, Duration::from_millis(150)));
    let asked = Instant::now();
    assert_eq!(client.say("NOOP").await, "250");
    assert!(asked.elapsed() >= Duration::from_millis(150), "delayed by {:?}", asked.elapsed());

    server.set_script(Script::healthy().hang_at(Stage::Noop));
    assert!(tokio::time::timeout(Duration::from_millis(100), client.say("NOOP")).await.is_err(), "hangs");
}

#[tokio::test]
async fn it_refuses_connections_and_listens_again_on_the_same_port() {
    let server = SmtpServer::start(SmtpOptions::default()).await;
    let (mut client, _) = Client::connect(&server).await;
    server.stop_listening().await;
    assert_eq!(client.say("NOOP").await, "", "open connections are cut");
    assert!(TcpStream::connect(server.addr()).await.is_err(), "new ones are refused");
    server.listen_again().await;
    assert_eq!(send(&server, "ann@example.com").await, "220 250 250 250 354 250");
    assert_eq!(server.counts().mails, 1);
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_one_go() {
    let server = SmtpServer::start(SmtpOptions { keep: false, ..SmtpOptions::default() }).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let all = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nMAIL FROM:<a@b>\r\nRSET\r\nQUIT\r\n";
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    let codes: Vec<&str> = answers.lines().filter(|l| l.as_bytes()[3] == b' ').map(|l| &l[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "250", "250", "221"]);
    assert_eq!(server.counts().mails, 1, "counted, though not kept");
    let to: Vec<String> = server.arrivals().into_iter().map(|arrival| arrival.to).collect();
    assert_eq!(to, ["c@d"], "whom it was for is known");
}
