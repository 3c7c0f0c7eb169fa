//! The way of a mail without its waiting: read the task, render it, send it over a connection that is open. One thread, one mail
//! after the other, nothing of chance: what it costs in instructions is the same each time.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use contract::{MailTask, TaskId};
use email_worker::smtp::{SmtpOptions, Tls, Transport};
use mail::{MailOptions, Renderer};
use time::OffsetDateTime;

/// How much of it, and where to.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A mail server that takes everything
    #[arg(long)]
    server: SocketAddr,
    /// Mails
    #[arg(long)]
    mails: u32,
}

pub(crate) async fn run(arguments: Arguments) {
    let from = "Sluice <no-reply@example.com>".parse().unwrap();
    let renderer = Renderer::new(MailOptions { from, product: "Sluice".to_owned() }).unwrap();
    let transport = Transport::smtp(SmtpOptions {
        host: arguments.server.ip().to_string(),
        port: arguments.server.port(),
        tls: Tls::None,
        login: None,
        helo: "localhost".to_owned(),
        connect_timeout: Duration::from_secs(60),
        send_timeout: Duration::from_secs(60),
        data_timeout: Duration::from_secs(60),
    })
    .unwrap();
    let (email, username) = ("ada@example.com".parse().unwrap(), "ada_lovelace".to_owned());
    let body = MailTask::welcome(email, username, Some("en".to_owned())).encode();
    // Neither clock nor chance: the length of a date or an id would show.
    let (id, now) = (TaskId::from_message_id("one and the same"), OffsetDateTime::UNIX_EPOCH);
    let mut session = transport.open().await.unwrap();
    for _ in 0..arguments.mails {
        let task = MailTask::decode(Some("email.welcome"), &body).unwrap();
        let mail = renderer.render(&task, id, now).unwrap();
        session.send(&mail).await.unwrap();
    }
}
