//! Stopping well.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Answer, TestApp, somebody};

#[tokio::test]
async fn requests_under_way_are_finished_and_new_connections_refused() {
    let mut app = TestApp::start(&[("HASH_CONCURRENCY", "1")]).await;
    let answers: Vec<_> = (0..20)
        .map(|n| {
            let request = app.client.post(app.url("/v1/users")).json(&somebody(&format!("user{n}")));
            tokio::spawn(Answer::read(request))
        })
        .collect();
    let started = async || (app.count("users").await >= 2).then_some(());
    testkit::eventually("the first registrations are done", Duration::from_secs(20), started).await;
    let running = app.stop();
    for answer in join_all(answers).await {
        assert_eq!(answer.unwrap().status, 201, "a request that was under way");
    }
    running.await.unwrap().expect("a clean end");
    assert!(TcpStream::connect(app.addr).await.is_err(), "still accepts connections");
    assert_eq!(app.count("users").await, 20);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut app = TestApp::start(&[]).await;
    assert_eq!(app.register(&somebody("ada")).await.status, 201, "leaves a connection in the client's pool");
    let mut idle = TcpStream::connect(app.addr).await.unwrap();
    idle.write_all(b"HEAD /docs/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0, "one request was answered on it");
    let told = Instant::now();
    app.stop().await.unwrap().expect("a clean end");
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("closed, not reset");
}

#[tokio::test]
async fn the_grace_period_ends_even_if_a_client_does_not() {
    let mut app = TestApp::start(&[("SHUTDOWN_GRACE", "300ms")]).await;
    let mut stuck = TcpStream::connect(app.addr).await.unwrap();
    let half = b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stuck.write_all(half).await.unwrap();
    // Only a request that has begun is waited for.
    assert_eq!(app.register(&somebody("ada")).await.status, 201);
    let told = Instant::now();
    let error = app.stop().await.unwrap().expect_err("there was a request under way");
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    assert!(format!("{error:#}").contains("SHUTDOWN_GRACE"), "{error:#}");
}
