//! The admin server over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use platform::admin::AdminServer;
use platform::health::{Health, Need};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

async fn get(base: &str, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{base}{path}")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn ready(base: &str) -> (u16, Value) {
    let (status, body) = get(base, "/readyz").await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn an_orchestrator_sees_what_the_components_say() {
    let health = Health::new();
    let database = health.component("database", Need::Required);
    let mail = health.component("mail", Need::Informative);
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), health.clone()).await.unwrap();
    let base = format!("http://{}", server.addr());
    let token = CancellationToken::new();
    let running = tokio::spawn(server.run(token.clone()));

    assert_eq!(get(&base, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(ready(&base).await.0, 503, "still starting");
    database.up();
    mail.up();
    assert_eq!(ready(&base).await.0, 200);
    mail.down("circuit open: 421 busy");
    let mail_down =
        json!({"database": {"status": "up"}, "mail": {"status": "down", "reason": "circuit open: 421 busy"}});
    assert_eq!(ready(&base).await, (200, json!({"status": "degraded", "components": mail_down})));
    health.start_draining();
    assert_eq!(ready(&base).await, (503, json!({"status": "draining", "components": mail_down})));
    assert_eq!(get(&base, "/livez").await.0, 200, "alive while draining");
    assert_eq!(get(&base, "/other").await.0, 404);

    token.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("did not stop").unwrap();
}

#[tokio::test]
async fn a_connection_that_stays_open_does_not_hold_up_the_end() {
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), Health::new()).await.unwrap();
    let addr = server.addr();
    let token = CancellationToken::new();
    let running = tokio::spawn(server.run(token.clone()));
    let mut stuck = tokio::net::TcpStream::connect(addr).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stuck, b"GET /readyz HTTP/1.1\r\n").await.unwrap();
    token.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("did not stop").unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let err = AdminServer::bind(addr, Health::new()).await.unwrap_err();
    let line = platform::exit::report(&err);
    assert!(line.starts_with(&format!("error: listening on {addr} (ADMIN_ADDR): ")), "{line}");
}
