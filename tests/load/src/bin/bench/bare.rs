//! The bare SMTP client: sixteen connections, mails that were rendered before, and nothing else. No queue, no ledger, no rate,
//! no telemetry. It is what a mail costs at least.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use contract::{MailTask, TaskId};
use email_worker::smtp::{SmtpOptions, Tls, Transport};
use lettre::address::Envelope;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use mail::{MailOptions, Renderer};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use load::process;

/// As many as the worker has sending slots.
const CONNECTIONS: usize = 16;

/// Whose code speaks SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The worker's own session.
    Ours,
    /// lettre's connection.
    Lettre,
}

/// What it found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bare {
    /// CPU time a mail, microseconds.
    pub(crate) cpu: f64,
    /// Mails a second.
    pub(crate) per_second: f64,
}

/// Sends `mails` from a process of its own: its CPU time must not mix with the mail sink's.
pub(crate) fn measure(whose: Whose, sink: SocketAddr, mails: usize) -> Bare {
    let me = std::env::current_exe().unwrap();
    let name = match whose {
        Whose::Ours => "ours",
        Whose::Lettre => "lettre",
    };
    let arguments = ["bare-smtp-client", name, &sink.to_string(), &mails.to_string()];
    let output = Command::new(me).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the bare SMTP client failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut figures = text.split_whitespace().map(|figure| figure.parse::<f64>().unwrap());
    Bare { cpu: figures.next().unwrap(), per_second: figures.next().unwrap() }
}

/// The process itself: prints microseconds of CPU a mail, and mails a second.
pub(crate) fn client(arguments: &[String]) {
    let [whose, sink, mails] = arguments else { panic!("bare-smtp-client ours|lettre ADDRESS MAILS") };
    let (sink, mails): (SocketAddr, usize) = (sink.parse().unwrap(), mails.parse().unwrap());
    let lettre = whose == "lettre";
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (cpu, took) = runtime.block_on(Box::pin(async move {
        let (cpu, began) = (process::cpu(std::process::id()), Instant::now());
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let each = mails / CONNECTIONS;
            if lettre {
                connections.spawn(Box::pin(send_by_lettre(sink, each)));
            } else {
                connections.spawn(Box::pin(send_by_us(sink, each)));
            }
        }
        connections.join_all().await;
        (process::cpu(std::process::id()) - cpu, began.elapsed())
    }));
    println!("{} {}", cpu.as_secs_f64() * 1e6 / mails as f64, mails as f64 / took.as_secs_f64());
}

fn rendered() -> mail::Rendered {
    let from = "Sluice <no-reply@example.com>".parse().unwrap();
    let renderer = Renderer::new(MailOptions { from, product: "Sluice".to_owned() }).unwrap();
    let email = "user-12345@example.com".parse().unwrap();
    let task = MailTask::welcome(email, "user-12345".to_owned(), None);
    renderer.render(&task, TaskId::new(), OffsetDateTime::now_utc()).unwrap()
}

async fn send_by_us(sink: SocketAddr, mails: usize) {
    let transport = Transport::smtp(SmtpOptions {
        host: sink.ip().to_string(),
        port: sink.port(),
        tls: Tls::None,
        login: None,
        helo: "localhost".to_owned(),
        connect_timeout: Duration::from_secs(5),
        send_timeout: Duration::from_secs(60),
        data_timeout: Duration::from_secs(60),
    })
    .unwrap();
    let mail = rendered();
    let mut session = transport.open().await.unwrap();
    for _ in 0..mails {
        session.send(&mail).await.unwrap();
    }
}

async fn send_by_lettre(sink: SocketAddr, mails: usize) {
    let mail = rendered();
    let to = vec!["user-12345@example.com".parse().unwrap()];
    let envelope = Envelope::new(Some("no-reply@example.com".parse().unwrap()), to).unwrap();
    let stream = TcpStream::connect(sink).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let hello = ClientId::Domain("localhost".to_owned());
    let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.unwrap();
    for _ in 0..mails {
        connection.send(&envelope, mail.bytes()).await.unwrap();
    }
}
