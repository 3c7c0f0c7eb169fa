//! The way to the broker and to the database is to be secured, and is not.

use std::time::Duration;

use serde_json::Value;
use testkit::{Preamble, Service, Shown, TlsFront, Trust, address_of, eventually};
use user_api::db::MIGRATOR;

const SOON: Duration = Duration::from_secs(30);

/// Waits for what `/readyz` says of a component.
async fn says(database: &str, broker: &str, component: &str, expected: Option<&str>) {
    let trust = Trust::new();
    let service = Service::spawn(
        "user-api",
        &[("DATABASE_URL", database.to_owned()), ("AMQP_URL", broker.to_owned()), ("SSL_CERT_FILE", trust.path())],
    );
    let mut last = Value::Null;
    let what = format!("{component} at {broker} and {database}: {expected:?}");
    eventually(&what, SOON, async || {
        let answer = reqwest::get(format!("{}/readyz", service.admin_url())).await.ok()?;
        last = answer.json::<Value>().await.ok()?["components"][component].clone();
        match expected {
            None => (last["status"] == "up").then_some(()),
            Some(_) => last["reason"].as_str().map(drop),
        }
    })
    .await;
    let reason = last["reason"].as_str().unwrap_or_default();
    assert_eq!(reason.contains("no secure connection (tls)"), expected.is_some(), "{what}: {reason}");
    assert!(reason.contains(expected.unwrap_or_default()), "{what}: {reason}");
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_or_a_port_is_said_of_the_broker_and_of_the_database() {
    let (vhost, database) = (testkit::vhost().await, testkit::database().await);
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    let (broker_at, database_at) = (address_of(vhost.amqp_url()), address_of(database.url()));
    let name = database.url().rsplit_once('/').unwrap().1;
    let amqps = |port: u16| format!("amqps://guest:guest@localhost:{port}/{}", vhost.name());
    let postgres = |port: u16| format!("postgres://sluice@localhost:{port}/{name}?sslmode=verify-full");
    for (shown, expected) in Shown::ALL {
        let front = TlsFront::start(broker_at, shown, Preamble::None).await;
        says(database.url(), &amqps(front.port()), "broker", expected).await;
        let front = TlsFront::start(database_at, shown, Preamble::Postgres).await;
        says(&postgres(front.port()), vhost.amqp_url(), "database", expected).await;
    }
    says(database.url(), &amqps(broker_at.port()), "broker", Some("in the clear")).await;
    let secured = TlsFront::start(broker_at, Shown::Good, Preamble::None).await;
    let plain = amqps(secured.port()).replacen("amqps://", "amqp://", 1);
    says(database.url(), &plain, "broker", Some("speaks TLS: amqps://")).await;
    says(&postgres(database_at.port()), vhost.amqp_url(), "database", Some("does not support TLS")).await;
}
