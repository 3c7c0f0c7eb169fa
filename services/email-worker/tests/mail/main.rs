//! Mails as they are written and sent, against a real mail server in the test process.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod files;
mod fuzz;
mod international;
mod rendering;
mod sessions;
mod stages;
mod tls;

use std::time::Duration;

use contract::{MailTask, TaskId};
use email_worker::smtp::{SendError, Session, SmtpOptions, Tls, Transport};
use mail::{MailOptions, Rendered, Renderer};
use testkit::SmtpServer;
use time::OffsetDateTime;

/// A short one, for servers that hang; nothing that is to go well may depend on it.
const LIMIT: Duration = Duration::from_millis(300);

fn renderer() -> Renderer {
    let options = MailOptions { from: "Sluice <no-reply@example.com>".parse().unwrap(), product: "Sluice".to_owned() };
    Renderer::new(options).unwrap()
}

fn render(email: &str, username: &str, locale: Option<&str>) -> Rendered {
    let task = MailTask::welcome(email.parse().unwrap(), username.to_owned(), locale.map(ToOwned::to_owned));
    renderer().render(&task, TaskId::new(), OffsetDateTime::now_utc()).unwrap()
}

fn mail() -> Rendered {
    render("ada@example.com", "ada", None)
}

fn options(server: &SmtpServer) -> SmtpOptions {
    SmtpOptions {
        host: "127.0.0.1".to_owned(),
        port: server.addr().port(),
        tls: Tls::None,
        login: None,
        helo: "worker.example.com".to_owned(),
        connect_timeout: Duration::from_secs(5),
        send_timeout: Duration::from_secs(5),
        data_timeout: Duration::from_secs(5),
    }
}

/// For servers that hang, where only `LIMIT` is spent on it: with a mail, or before the first.
fn impatient(server: &SmtpServer) -> Transport {
    Transport::smtp(SmtpOptions { send_timeout: LIMIT, data_timeout: LIMIT, ..options(server) }).unwrap()
}

fn impatient_to_open(server: &SmtpServer) -> Transport {
    Transport::smtp(SmtpOptions { connect_timeout: LIMIT, ..options(server) }).unwrap()
}

fn patient(server: &SmtpServer) -> Transport {
    Transport::smtp(options(server)).unwrap()
}

async fn open(server: &SmtpServer) -> Session {
    patient(server).open().await.unwrap()
}

/// The stage and what happened there, in short: `rcpt 550 5.1.1`, `data dropped`, with `stale` behind an old session.
fn short(error: &SendError) -> String {
    use email_worker::smtp::Broken;
    let what = match error {
        SendError::Refused { stage, reply, .. } => {
            let enhanced = reply.enhanced.map(|(a, b, c)| format!(" {a}.{b}.{c}")).unwrap_or_default();
            format!("{} {}{enhanced}", stage.slug(), reply.code)
        }
        SendError::Broken { cause, .. } | SendError::Unanswered { cause } => {
            let cause = match cause {
                Broken::Unreachable(_) => "unreachable",
                Broken::Dropped => "dropped",
                Broken::Timeout(_) => "timeout",
                Broken::Tls(_) => "tls",
                Broken::Protocol(_) => "protocol",
                Broken::Lacks(_) => "lacks",
                Broken::CutOff => "cut off",
                Broken::File(_) => "file",
            };
            let unknown = if matches!(error, SendError::Unanswered { .. }) { "unanswered " } else { "" };
            format!("{} {unknown}{cause}", error.stage().unwrap().slug())
        }
        SendError::Unsendable(_) => "unsendable".to_owned(),
    };
    if error.session_was_stale() { format!("{what} stale") } else { what }
}
