//! What is shown on the stage: a registration, its mail, its trace; a mail of an own type; and where to look further.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use testkit::{Kind, Span};
use tokio_util::sync::CancellationToken;

use crate::mail::Mail;
use crate::stage::Stage;
use crate::trace::{self, Node};
use crate::ui::{Style, Ui};

/// How long the mail may take to arrive.
const MAIL: Duration = Duration::from_secs(30);
/// How long the last span may take to be exported.
const TRACE: Duration = Duration::from_secs(10);
/// Who registers.
const USERNAME: &str = "ada";
const ADDRESS: &str = "ada@example.org";

/// Who has ordered something.
const CUSTOMER: &str = "grace@example.org";

/// Registers one user and shows what became of it; then asks for a mail of an own type.
pub(crate) async fn run(ui: &Ui, stage: &mut Stage) -> anyhow::Result<()> {
    let since = Instant::now();
    let (status, body) = register(stage).await?;
    ui.say("");
    ui.say(&format!(
        "{} {} {}",
        ui.styled(Style::Bold, "POST /v1/users"),
        status,
        ui.styled(Style::Dim, &format!("after {} ms", since.elapsed().as_millis()))
    ));
    ui.say(&body);

    let mail = ui.step("mail", wait_for_mail(stage, ADDRESS)).await?;
    ui.say(&ui.styled(Style::Dim, &format!("{} ms after the request was sent", since.elapsed().as_millis())));
    ui.say("");
    ui.say(&mail.lines().join("\n"));

    let spans = ui.step("trace", wait_for_trace(stage)).await?;
    let nodes: Vec<Node> = spans.iter().map(node).collect();
    ui.say("");
    let title = format!("trace {}", spans.first().map(|span| span.trace_id.clone()).unwrap_or_default());
    ui.say(&format!("{} {}", ui.styled(Style::Bold, &title), trace::span_of(&nodes)));
    ui.say(&trace::tree(&nodes).join("\n"));

    own_type(ui, stage).await?;

    ui.say("");
    let (management, login) = without_login(stage.rabbit.management_url());
    for (what, place, note) in [
        ("API docs", format!("{}/docs", stage.api.base_url()), String::new()),
        ("mail-api", format!("{}/docs", stage.mail_api.base_url()), format!("  key {}", stage.key)),
        (
            "Types",
            stage.types.directory.display().to_string(),
            "  a file that is saved is in use two seconds later".to_owned(),
        ),
        ("Inbox", stage.inbox.place(), String::new()),
        ("RabbitMQ", management, login),
    ] {
        ui.say(&format!("{what:9} {}{note}", ui.styled(Style::Link, &place)));
    }
    Ok(())
}

/// Stays until it is told to stop; shows what becomes of files that are changed, and what arrives where there is no page that does.
pub(crate) async fn stay(ui: &Ui, stage: &mut Stage, stop: &CancellationToken) {
    ui.say("");
    ui.say(&format!(
        "Register somebody else in the API docs, change a type and ask for it, or end all of it with {}.",
        ui.styled(Style::Bold, "Ctrl-C")
    ));
    let (mut shown, mut said) = (2, stage.said_of_types().len());
    let mut look = tokio::time::interval(Duration::from_millis(500));
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let of_types = stage.said_of_types();
        of_types.iter().skip(said).for_each(|line| ui.say(line));
        said = of_types.len();
        if stage.inbox.has_page() {
            continue;
        }
        let mails = stage.inbox.mails().await.unwrap_or_default();
        for mail in mails.iter().skip(shown) {
            ui.say("");
            ui.say(&mail.lines().join("\n"));
        }
        shown = shown.max(mails.len());
    }
    ui.say("");
}

async fn register(stage: &Stage) -> anyhow::Result<(String, String)> {
    // Typed nowhere and used once: long and from no list.
    let password = uuid::Uuid::new_v4().to_string();
    let request = serde_json::json!({ "username": USERNAME, "email": ADDRESS, "password": password });
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/users", stage.api.base_url()))
        .json(&request)
        .timeout(Duration::from_secs(20))
        .send()
        .await
        .context("registering a user")?;
    let status = answer.status();
    let body = answer.text().await.context("reading the answer to the registration")?;
    ensure!(status.as_u16() == 201, "the registration was answered with {status}: {body}");
    Ok((status.to_string(), body))
}

/// One `POST /v1/mails` for a type that is nothing but files.
async fn own_type(ui: &Ui, stage: &Stage) -> anyhow::Result<()> {
    let request = serde_json::json!({
        "type": "order.shipped", "recipient": CUSTOMER, "locale": "en",
        "data": {
            "customer": "Grace Hopper", "order": "A-1906", "total": 1234.5, "arrives": "2026-12-09",
            "track": "https://shop.example.com/track/A-1906", "items": [{"name": "Compiler", "count": 1}],
        },
    });
    let (status, body) = ask(stage, &request).await?;
    ui.say("");
    ui.say(&format!("{} {status}", ui.styled(Style::Bold, "POST /v1/mails")));
    ui.say(&ui.styled(Style::Dim, &request.to_string()));
    ui.say(&body);
    if !status.starts_with("202") {
        ui.say("order.shipped asks for something else than it did: its files are yours.");
        return Ok(());
    }
    let mail = ui.step("mail of an own type", wait_for_mail(stage, CUSTOMER)).await?;
    ui.say("");
    ui.say(&mail.lines().join("\n"));
    Ok(())
}

async fn ask(stage: &Stage, request: &serde_json::Value) -> anyhow::Result<(String, String)> {
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/mails", stage.mail_api.base_url()))
        .bearer_auth(&stage.key)
        .json(request)
        .timeout(Duration::from_secs(20))
        .send()
        .await
        .context("asking for a mail")?;
    let status = answer.status();
    let body = answer.text().await.context("reading the answer of mail-api")?;
    ensure!(status.as_u16() == 202 || stage.types.kept, "the request for a mail was answered with {status}: {body}");
    Ok((status.to_string(), body))
}

async fn wait_for_mail(stage: &Stage, address: &str) -> anyhow::Result<Mail> {
    let deadline = Instant::now() + MAIL;
    loop {
        if let Some(mail) = stage.inbox.mails().await?.into_iter().find(|mail| mail.is_to(address)) {
            return Ok(mail);
        }
        if Instant::now() > deadline {
            bail!("the mail did not come within {} s", MAIL.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All spans of the registration's trace, once the last one is there: the worker's consumer span ends after its ack.
async fn wait_for_trace(stage: &Stage) -> anyhow::Result<Vec<Span>> {
    let deadline = Instant::now() + TRACE;
    loop {
        let spans = stage.telemetry.spans();
        let consumed = spans.iter().find(|span| span.kind == Kind::Consumer && span.service == "email-worker");
        if let Some(consumed) = consumed {
            let mut trace: Vec<Span> =
                spans.iter().filter(|span| span.trace_id == consumed.trace_id).cloned().collect();
            if trace.iter().any(|span| span.kind == Kind::Server) {
                trace.sort_by_key(|span| span.start);
                return Ok(trace);
            }
        }
        if Instant::now() > deadline {
            bail!(
                "the trace did not arrive whole within {} s: {} spans, none of them of both services",
                TRACE.as_secs(),
                spans.len()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn node(span: &Span) -> Node {
    let nanoseconds = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    };
    Node {
        id: span.span_id.clone(),
        parent: span.parent.clone(),
        name: span.name.clone(),
        service: span.service.clone(),
        start: nanoseconds(span.start),
        end: nanoseconds(span.end),
    }
}

/// `http://user:password@host` as what to open, and what to type there.
fn without_login(url: &str) -> (String, String) {
    let parts = url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?)));
    let Some((scheme, (login, host))) = parts else { return (url.to_owned(), String::new()) };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    (format!("{scheme}://{host}"), format!("  user {user}, password {password}"))
}

#[cfg(test)]
mod tests {
    use super::without_login;

    #[test]
    fn a_login_is_shown_beside_the_address() {
        let shown = (String::from("http://127.0.0.1:1"), String::from("  user guest, password secret"));
        assert_eq!(without_login("http://guest:secret@127.0.0.1:1"), shown);
        assert_eq!(without_login("http://127.0.0.1:1").0, "http://127.0.0.1:1");
    }
}
