//! `make pictures`: the console as a browser shows it, with a real worker behind it, for README and docs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a tool, and its messages")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::{TaskId, queue};
use serde_json::json;
use testkit::lapin::BasicProperties;
use testkit::{
    Client, Database, Script, Service, SmtpOptions, SmtpServer, Stage, Visit, database, eventually, in_chromium, vhost,
};

const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "the-token-of-grace-who-operates";
const WHO: &str = "grace=operator:the-token-of-grace-who-operates";
/// Mails that go out.
const SENT: usize = 180;
/// The hour before: what a fleet would have written down.
const HOUR: &str = "INSERT INTO fleet_minutes (minute, kind, reason, count)
    SELECT date_trunc('minute', now()) - make_interval(mins => ago), kind, '',
           CASE kind WHEN 'waiting' THEN greatest(0, 900 - abs(ago - 25) * 60)
                     ELSE 300 + (120 * sin(ago / 7.0))::int END
    FROM generate_series(1, 60) AS ago, unnest(ARRAY['sent', 'waiting']) AS kind
    UNION ALL
    SELECT date_trunc('minute', now()) - make_interval(mins => ago), 'dead', reason, count
    FROM (VALUES (40, 'mailbox-full', 3), (22, 'policy-violation', 8), (21, 'policy-violation', 5)) AS dead (ago, reason, count)";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = PathBuf::from(std::env::args().nth(1).expect("where the pictures go"));
    let (database, vhost) = (database().await, vhost().await);
    let client = vhost.client().await;
    let full = "552 5.2.2 The mailbox of this person is full, and has been for weeks";
    let script = Script::healthy().reply(Stage::Rcpt, full).for_recipient("ada@example.com");
    let smtp = SmtpServer::start(SmtpOptions::default()).await;
    smtp.set_script(script);
    let variables = [
        ("DATABASE_URL", database.url().to_owned()),
        ("AMQP_URL", vhost.amqp_url().to_owned()),
        ("ADDRESS_HASH_KEY", KEY.to_owned()),
        ("HOSTNAME", "email-worker-7d9f8c-x2k4q".to_owned()),
        ("MAIL_FROM", "Sluice <no-reply@example.com>".to_owned()),
        ("SMTP_HOST", "127.0.0.1".to_owned()),
        ("SMTP_PORT", smtp.addr().port().to_string()),
        ("SMTP_TLS", "none".to_owned()),
        ("CONSOLE_TOKENS", WHO.to_owned()),
        ("USER", "grace".to_owned()),
    ];
    ends(&["migrate"], &variables).await;
    sqlx::raw_sql(HOUR).execute(database.pool()).await.unwrap();
    let pause = [
        "sending",
        "pause",
        "--domain",
        "example.net",
        "--for",
        "3h",
        "--reason",
        "they asked us to stop until Monday",
    ];
    ends(&pause, &variables).await;
    let limit = ["sending", "limit", "600/m", "--type", "shop.newsletter", "--at-once", "2", "--reason", "quiet hours"];
    ends(&limit, &variables).await;
    let worker = Service::spawn_with("email-worker", &["run"], &variables);
    worker.ready().await;
    let dead = mails(&client, &database).await;
    let console = Service::spawn_with("email-worker", &["console"], &variables);
    console.ready().await;
    take(&directory, &console.base_url(), dead).await;
    drop((console, worker));
    testkit::stop_everything();
}

/// Waits for a command, which must end well.
async fn ends(arguments: &[&str], variables: &[(&str, String)]) {
    let command = Service::spawn_with("email-worker", arguments, variables);
    let status = command.exited(PATIENCE).await;
    assert!(status.success(), "{arguments:?}: {:?}", command.log_lines());
}

/// Mails of which most go out, some wait for a domain that is paused, and one is dead: its id.
async fn mails(client: &Client, database: &Database) -> TaskId {
    let people = (0..SENT).map(|n| format!("person-{n}@example.org"));
    let held = (0..12).map(|n| format!("person-{n}@example.net"));
    for email in people.chain(held) {
        publish(client, TaskId::new(), &email).await;
    }
    let dead = TaskId::new();
    publish(client, dead, "ada@example.com").await;
    eventually("mails are sent, held and dead", PATIENCE, async || {
        let sql = "SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'dead') FROM mail_log";
        let (sent, given_up): (i64, i64) = sqlx::query_as(sql).fetch_one(database.pool()).await.unwrap();
        (sent >= 180 && given_up == 1 && client.ready(queue::DEAD).await == 1).then_some(())
    })
    .await;
    dead
}

async fn publish(client: &Client, id: TaskId, email: &str) {
    let properties = BasicProperties::default()
        .with_message_id(id.to_string().into())
        .with_type("email.welcome".into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2);
    let body = json!({ "email": email, "name": "Ada Lovelace" }).to_string();
    client.publish(queue::EMAIL, body.as_bytes(), properties).await;
}

async fn take(directory: &Path, base: &str, dead: TaskId) {
    let file = |name: &str| directory.join(format!("console-{name}.png"));
    let comes_in = |size| {
        let visit = Visit::new("en", size).goes_to(&format!("{base}/sign-in")).fills("#token", TOKEN);
        visit.clicks("form.card button").waits_for("#queues")
    };
    let desk = (1160, 720);
    let visits = [
        comes_in(desk)
            // What the worker says of itself comes every few seconds.
            .waits_for("td:has-text('closed')")
            .takes_picture(&file("overview"))
            .goes_to(&format!("{base}/sending"))
            .takes_picture(&file("sending"))
            .goes_to(&format!("{base}/dead-letters"))
            .waits_for("table")
            .takes_picture(&file("dead-letters"))
            .goes_to(&format!("{base}/mails"))
            .fills("#what", "ada@example.com")
            .clicks("form.card button")
            .takes_picture(&file("mail")),
        comes_in((390, 800)).goes_to(&format!("{base}/mails/{dead}")).takes_picture(&file("phone")),
    ];
    in_chromium(&visits).await;
    eprintln!("pictures: {}", directory.display());
}
