//! Clients that never finish, or are rude in other ways, over bare TCP.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{TestApp, somebody};

/// Who takes longer than half a second is slow.
const HURRIED: [(&str, &str); 2] = [("REQUEST_TIMEOUT", "500ms"), ("HASH_MAX_WAIT", "500ms")];

/// Sends `text`, then nothing; reads until the server closes.
async fn last_words(app: &TestApp, text: &str) -> (String, Duration) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(app.addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    read.expect("the connection stays open").expect("the connection was reset");
    (String::from_utf8(answer).unwrap(), started.elapsed())
}

#[track_caller]
fn assert_408(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    let lower = answer.to_lowercase();
    assert!(lower.contains("content-type: application/problem+json"), "{answer}");
    assert!(lower.contains("connection: close"), "{answer}");
    assert!(lower.contains("x-request-id: "), "{answer}");
    assert!(answer.contains("\"type\":\"/problems/request-timeout\""), "{answer}");
}

#[tokio::test]
async fn half_a_head_gets_408_and_the_connection_is_closed() {
    let app = TestApp::start(&HURRIED).await;
    let (answer, after) = last_words(&app, "POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Ty").await;
    assert_408(&answer);
    assert!(after >= Duration::from_millis(450) && after < Duration::from_secs(5), "after {after:?}");
}

#[tokio::test]
async fn half_a_body_gets_408_and_the_connection_is_closed() {
    let app = TestApp::start(&HURRIED).await;
    let head = "POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    for rest in ["Content-Length: 100\r\n\r\n{\"user", "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"use\r\n"] {
        let (answer, after) = last_words(&app, &format!("{head}{rest}")).await;
        assert_408(&answer);
        assert!(after >= Duration::from_millis(450) && after < Duration::from_secs(5), "after {after:?}");
    }
}

#[tokio::test]
async fn a_trickle_does_not_count_as_progress() {
    let app = TestApp::start(&HURRIED).await;
    let stream = TcpStream::connect(app.addr).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let trickle = async {
        write.write_all(b"POST /v1/users HTTP/1.1\r\nX-Slow: ").await?;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            write.write_all(b"a").await?;
        }
    };
    let mut answer = Vec::new();
    let answered = timeout(Duration::from_secs(20), async {
        tokio::select! {
            error = trickle => { let _: std::io::Result<()> = error; }
            _ = read.read_to_end(&mut answer) => {}
        }
    });
    answered.await.expect("the connection stays open");
    assert_408(&String::from_utf8(answer).unwrap());
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let app = TestApp::start(&[HURRIED[0], HURRIED[1], ("IDLE_TIMEOUT", "300ms")]).await;
    let (answer, _) = last_words(&app, "").await;
    assert_eq!(answer, "");
    let (answer, _) = last_words(&app, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer to one request");
}

#[tokio::test]
async fn a_client_that_sends_on_still_reads_its_413() {
    let app = TestApp::start(&[]).await;
    let head = "POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n";
    let (answer, _) = last_words(&app, &format!("{head}{}", " ".repeat(900_000))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_without_a_length_is_limited_too() {
    let app = TestApp::start(&[]).await;
    let head =
        "POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
    let (answer, _) = last_words(&app, &format!("{head}{}", chunk.repeat(17))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let app = TestApp::start(&[]).await;
    let request = |name: &str| {
        let body = somebody(name).to_string();
        let head = "POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let last = "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (answers, _) = last_words(&app, &format!("{}{}{last}", request("ada"), request("bob"))).await;
    let statuses: Vec<_> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["201", "201", "404"], "{answers}");
}
