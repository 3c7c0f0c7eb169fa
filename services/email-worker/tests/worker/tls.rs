//! The way to the broker, the database or the mail server is to be secured, and is not.

use serde_json::Value;
use testkit::{Preamble, Service, Shown, TlsFront, Trust, address_of, eventually};

use crate::helpers::{PATIENCE, World, get};

/// Waits for what a worker with these variables says of a component; gives the reason, and the worker.
async fn says(world: &World, changes: &[(&'static str, &str)], component: &str, is_up: bool) -> (String, Service) {
    let trust = Trust::new();
    let path = trust.path();
    let mut variables = changes.to_vec();
    variables.push(("SSL_CERT_FILE", &path));
    let worker = world.process(&variables);
    let admin = address_of(&worker.admin_url());
    let mut last = Value::Null;
    let what = format!("{component} with {changes:?}");
    let found = eventually(&what, PATIENCE, async || {
        let body = get(admin, "/readyz").await?.1;
        last = serde_json::from_str::<Value>(&body).ok()?["components"][component].clone();
        let reason = last["reason"].as_str().unwrap_or_default().to_owned();
        (if is_up { last["status"] == "up" } else { !reason.is_empty() }).then_some(reason)
    });
    (found.await, worker)
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_or_a_port_is_said_of_the_broker_and_of_the_database() {
    let world = World::new().await;
    let (broker, database) = (address_of(world.vhost.amqp_url()), address_of(world.database.url()));
    let name = world.database.url().rsplit_once('/').unwrap().1;
    let amqps = |port: u16| format!("amqps://guest:guest@localhost:{port}/{}", world.vhost.name());
    let postgres = |port: u16| format!("postgres://sluice@localhost:{port}/{name}?sslmode=verify-full");
    let check = async |variable, url: String, component, expected: Option<&str>| {
        let (reason, _) = says(&world, &[(variable, &url)], component, expected.is_none()).await;
        assert_eq!(reason.contains("no secure connection (tls)"), expected.is_some(), "{url}, {expected:?}: {reason}");
        assert!(reason.contains(expected.unwrap_or_default()), "{url}, {expected:?}: {reason}");
    };
    for (shown, expected) in Shown::ALL {
        let front = TlsFront::start(broker, shown, Preamble::None).await;
        check("AMQP_URL", amqps(front.port()), "broker", expected).await;
        let front = TlsFront::start(database, shown, Preamble::Postgres).await;
        check("DATABASE_URL", postgres(front.port()), "database", expected).await;
    }
    check("AMQP_URL", amqps(broker.port()), "broker", Some("in the clear")).await;
    let secured = TlsFront::start(broker, Shown::Good, Preamble::None).await;
    let plain = amqps(secured.port()).replacen("amqps://", "amqp://", 1);
    check("AMQP_URL", plain, "broker", Some("speaks TLS: amqps://")).await;
    check("DATABASE_URL", postgres(database.port()), "database", Some("does not support TLS")).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_mail_servers_certificate_is_a_cause_of_its_own_and_its_log_says_what_to_do() {
    let world = World::new().await;
    for (shown, expected) in Shown::ALL {
        let front = TlsFront::start(world.smtp.addr(), shown, Preamble::None).await;
        let port = front.port().to_string();
        let secured = [("SMTP_HOST", "localhost"), ("SMTP_PORT", &*port), ("SMTP_TLS", "implicit")];
        let (reason, worker) = says(&world, &secured, "sending", expected.is_none()).await;
        assert_eq!(reason.contains(": tls: broken off at"), expected.is_some(), "{shown:?}: {reason}");
        if let Some(what_to_do) = expected {
            assert!(reason.contains(what_to_do), "{shown:?}: {reason}");
            worker.wait_for_log(what_to_do, PATIENCE).await;
        }
    }
}
