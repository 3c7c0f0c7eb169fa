//! What one mail costs in CPU time: rendering it, and sending it over a kept connection, each next to the mail library
//! doing the same. Run with `cargo run --release -p email-worker --example mail_cost`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::fs;

use contract::{MailTask, TaskId};
use email_worker::smtp::{SmtpOptions, Tls, Transport};
use lettre::address::Envelope;
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use mail::{MailOptions, Renderer};
use std::time::Duration;
use testkit::SmtpServer;
use time::OffsetDateTime;
use tokio::net::TcpStream;

const ROUNDS: u32 = 20_000;

/// CPU time of this thread; the test server runs on another.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

fn report(what: &str, since: Duration) -> f64 {
    let micros = (cpu() - since).as_secs_f64() * 1e6 / f64::from(ROUNDS);
    println!("{what:<44} {micros:>7.2} us of CPU a mail");
    micros
}

fn task(locale: &str) -> MailTask {
    MailTask::welcome("ada@example.com".parse().unwrap(), "ada_lovelace".to_owned(), Some(locale.to_owned()))
}

fn main() {
    let renderer = Renderer::new(MailOptions {
        from: "Sluice <no-reply@example.com>".parse().unwrap(),
        product: "Sluice".to_owned(),
    })
    .unwrap();
    for locale in ["en", "zh"] {
        let task = task(locale);
        let before = cpu();
        for _ in 0..ROUNDS {
            renderer.render(&task, TaskId::new(), OffsetDateTime::now_utc()).unwrap();
        }
        report(&format!("render {locale}"), before);
    }

    let mail = renderer.render(&task("en"), TaskId::new(), OffsetDateTime::now_utc()).unwrap();
    let text = "Hello ada_lovelace,\n\nyour account has been created.\n".repeat(10);
    let before = cpu();
    for _ in 0..ROUNDS {
        let message = Message::builder()
            .from("Sluice <no-reply@example.com>".parse::<Mailbox>().unwrap())
            .to("ada@example.com".parse().unwrap())
            .subject("Welcome to Sluice, ada_lovelace")
            .message_id(Some(TaskId::new().to_string()))
            .multipart(MultiPart::alternative_plain_html(text.clone(), text.repeat(2)))
            .unwrap();
        message.formatted();
    }
    report("the library's builder alone, no templates", before);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Box::pin(async {
        let server = SmtpServer::start(testkit::SmtpOptions { keep: false, ..Default::default() }).await;
        let transport = Transport::smtp(SmtpOptions {
            host: "127.0.0.1".to_owned(),
            port: server.addr().port(),
            tls: Tls::None,
            login: None,
            helo: "localhost".to_owned(),
            connect_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(5),
            data_timeout: Duration::from_secs(5),
        })
        .unwrap();
        for _ in 0..3 {
            let envelope =
                Envelope::new(Some("no-reply@example.com".parse().unwrap()), vec!["ada@example.com".parse().unwrap()])
                    .unwrap();
            let tcp = TcpStream::connect(server.addr()).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let hello = ClientId::Domain("localhost".to_owned());
            let mut bare = AsyncSmtpConnection::connect_with_transport(Box::new(tcp), &hello).await.unwrap();
            let before = cpu();
            for _ in 0..ROUNDS {
                bare.send(&envelope, mail.bytes()).await.unwrap();
            }
            let bare = report("bare client: the library's send", before);

            let mut session = transport.open().await.unwrap();
            let before = cpu();
            for _ in 0..ROUNDS {
                session.send(&mail).await.unwrap();
            }
            let ours = report("our session: send", before);

            let before = cpu();
            for _ in 0..ROUNDS {
                let mail = renderer.render(&task("en"), TaskId::new(), OffsetDateTime::now_utc()).unwrap();
                session.send(&mail).await.unwrap();
            }
            let both = report("our session: render and send", before);
            println!("{:<44} {:>7.2} and {:.2} with rendering", "ratio to the bare client", ours / bare, both / bare);
        }
    }));
}
