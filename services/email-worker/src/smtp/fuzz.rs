//! Whatever a mail server says: from its greeting to its last word, in pieces of any size.
#![allow(clippy::unwrap_used)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::{MailTask, TaskId};
use mail::{MailOptions, Rendered, Renderer};
use testkit::fuzz::Target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::reply::{Accepted, Reply, SendError, Stage};
use super::server::{Smtp, SmtpOptions, Tls};
use super::stream::SmtpStream;
use crate::send::classify::Classification;

const LOCAL: &str = "ada.lovelace";

/// A server that says this whatever it hears, so many bytes at a time, and then hangs up.
struct Said {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    endless: bool,
}

impl AsyncRead for Said {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let from = if self.endless { self.at % self.bytes.len() } else { self.at };
        assert!(self.at < 1024 * 1024, "a mebibyte of answers was read, and gathered");
        let to = (from + self.piece.min(buf.remaining())).min(self.bytes.len());
        buf.put_slice(&self.bytes[from..to]);
        self.at += to - from;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Said {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Client {
    smtp: Smtp,
    mail: Rendered,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    fn new() -> Self {
        let from = "Sluice <no-reply@example.com>".parse().unwrap();
        let renderer = Renderer::new(MailOptions { from, product: "Sluice".to_owned() }).unwrap();
        let email = format!("{LOCAL}@example.net").parse().unwrap();
        let task = MailTask::welcome(email, "Ada".to_owned(), None);
        let mail = renderer.render(&task, TaskId::from_message_id("1"), time::OffsetDateTime::UNIX_EPOCH).unwrap();
        let options = SmtpOptions {
            host: "127.0.0.1".to_owned(),
            port: 25,
            tls: Tls::None,
            login: None,
            helo: "worker.example.com".to_owned(),
            connect_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            data_timeout: Duration::from_secs(60),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { smtp: Smtp::new(options).unwrap(), mail, runtime }
    }

    /// Opens a session and sends one mail; whether the session is usable after.
    fn send(&self, bytes: &[u8], piece: usize, endless: bool) -> (Result<Accepted, SendError>, bool) {
        let said = Said { bytes: bytes.to_vec(), at: 0, piece, endless };
        self.runtime.block_on(async {
            let stream = SmtpStream::new(said, ([127, 0, 0, 1], 25).into(), b"");
            let (connection, capabilities, written) = match self.smtp.handshake(stream).await {
                Ok(opened) => opened,
                Err(failure) => return (Err(failure.at(Stage::Connect, true)), false),
            };
            let mut session = self.smtp.session(connection, capabilities, written);
            let sent = session.send(&self.mail, &CancellationToken::new(), &|| ()).await;
            (sent, session.is_usable())
        })
    }
}

#[test]
fn fuzz_smtp_answers() {
    let words: [&[u8]; 16] = [
        b"220 mail ESMTP\r\n",
        b"250 ok\r\n",
        b"250-PIPELINING\r\n",
        b"250-\r\n",
        b"250\r\n",
        b"354 go on\r\n",
        b"421 4.3.2 closing\r\n",
        b"450 4.2.0 <ada.lovelace@example.net> greylisted\r\n",
        b"550 5.1.1 no such user ada.lovelace\r\n",
        b"552 5.2.2 mailbox=ada.lovelace;full\r\n",
        b"454 4.7.0 TLS not available\r\n",
        b"530 5.7.0 log in\r\n",
        b"ADA.LOVELACE's",
        b"5.7.1 ",
        b"-",
        b"999 ",
    ];
    let client = Client::new();
    let floors = [("accepted", 8), ("refused", 60), ("broken off", 250)];
    Target { name: "smtp-answers", words: &words, runs: 800, longest: 2_048, floors: &floors }.fuzz(|said| {
        let whole = client.send(said, usize::MAX, false);
        for piece in [1, 7, 300] {
            assert_eq!(client.send(said, piece, false), whole, "another outcome by {piece} bytes");
        }
        let (outcome, usable) = whole;
        match outcome {
            Ok(accepted) => {
                assert!(usable, "a session that took a mail takes the next");
                discreet(&accepted.reply);
                let classes = classes(said);
                let fits = classes.len() >= 7 && classes[..3].iter().all(|class| b"23".contains(class));
                assert!(
                    fits && classes[3..7] == *b"2232",
                    "the server never took it: {:?}",
                    String::from_utf8_lossy(&classes)
                );
                "accepted"
            }
            Err(error) => {
                // Before that nobody has told it whom the mail is for.
                if error.stage().is_some_and(|stage| stage > Stage::Connect) {
                    discreet(&error.to_string());
                }
                assert!(!usable || matches!(error, SendError::Refused { .. }), "usable after {error}");
                classification(&error);
                if matches!(error, SendError::Refused { .. }) { "refused" } else { "broken off" }
            }
        }
    });
}

/// The first digit of each answer's last line, as any reader would find them who takes carriage returns for nothing.
fn classes(said: &[u8]) -> Vec<u8> {
    let said: Vec<u8> = said.iter().copied().filter(|byte| *byte != b'\r').collect();
    let lines = said.split(|byte| *byte == b'\n');
    lines.filter(|line| line.len() >= 3 && line.get(3) != Some(&b'-')).map(|line| line[0]).collect()
}

/// Says nothing of the recipient, on one short line.
fn discreet(text: &str) {
    let lower = text.to_lowercase();
    for (at, found) in lower.match_indices(LOCAL) {
        let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let word = inside(lower[..at].chars().next_back()) || inside(lower[at + found.len()..].chars().next());
        assert!(word, "the address is repeated: {text}");
    }
    assert!(!text.contains(char::is_control), "{text:?} is not on one line");
    assert!(text.chars().count() <= 600, "{} characters", text.chars().count());
}

/// The words tell a limit of ours from a fault of the mail. They end no mail that the code leaves alive, and keep none for
/// another try that the code has ended.
fn classification(error: &SendError) {
    let class = Classification::of(error);
    let SendError::Refused { stage, reply, fresh } = error else {
        assert!(!matches!(class, Classification::Dead(_)), "nobody said no: {error}");
        return;
    };
    let bare = Reply { text: String::new(), ..reply.clone() };
    let without = Classification::of(&SendError::Refused { stage: *stage, reply: bare, fresh: *fresh });
    let tried_again = matches!(class, Classification::Retry(_) | Classification::Reconnect);
    assert!(
        !matches!(without, Classification::Dead(_)) || !tried_again,
        "the words of {reply} keep the mail: {class:?}"
    );
    assert!(
        !reply.is_transient() || !matches!(class, Classification::Dead(_)),
        "{reply} is for now, and ends the task"
    );
    assert!((400..600).contains(&reply.code), "{reply} is no refusal");
}

#[test]
fn fuzz_answers_without_end_are_not_gathered() {
    let client = Client::new();
    let long = format!("250-{}\r\n", "x".repeat(2_000));
    for said in ["2", "\r\n", "\r", " ", &long, "220 a\r\n250-", "\0"] {
        let (outcome, _) = client.send(said.as_bytes(), usize::MAX, true);
        let error = outcome.expect_err(said);
        assert!(matches!(error, SendError::Broken { .. }), "{said:?}: {error}");
    }
}
