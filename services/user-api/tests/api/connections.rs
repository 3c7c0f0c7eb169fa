//! How many connections a client may have, what it may do with them, and what a head is answered that is no request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::{Service, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{TestApp, variables};

const SOON: Duration = Duration::from_secs(20);
const GET: &str = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";

/// Asks on and on, and reads nothing, until the server takes no more for a while.
async fn stuff(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut goes_on = async || timeout(Duration::from_millis(300), stream.write_all(GET.as_bytes())).await;
    // Reset, it takes no more either.
    let asking = async { while matches!(goes_on().await, Ok(Ok(()))) {} };
    timeout(SOON, asking).await.expect("the server reads on, though nobody reads its answers");
    stream
}

/// Connects, says `text`, and reads for as long as the server says anything.
async fn said(app: &TestApp, text: &str) -> String {
    let mut stream = TcpStream::connect(app.addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(SOON, stream.read_to_end(&mut answer)).await;
    let begin: String = text.chars().take(40).collect();
    closed.unwrap_or_else(|_| panic!("stays open after {begin:?}")).expect("closed, not reset");
    String::from_utf8(answer).unwrap()
}

/// One more connection, over which a request was answered with this status.
async fn answered(app: &TestApp) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(app.addr).await.unwrap();
    // Refused, it may be closed already.
    let _ = stream.write_all(b"HEAD /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut begin = [0; 12];
    timeout(SOON, stream.read_exact(&mut begin)).await.expect("an answer").expect("an answer, not a reset");
    (stream, String::from_utf8_lossy(&begin[9..]).into_owned())
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let app = TestApp::start(&[("WRITE_TIMEOUT", "1s")]).await;
    let mut stream = stuff(app.addr).await;
    let asking = async { while stream.write_all(GET.as_bytes()).await.is_ok() {} };
    timeout(SOON, asking).await.expect("the connection stands, though nobody reads");
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_up_the_end() {
    let mut app = TestApp::start(&[("SHUTDOWN_GRACE", "4s")]).await;
    let _stuck = stuff(app.addr).await;
    let told = Instant::now();
    app.stop().await.unwrap().expect("a clean end, within the grace period");
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

#[tokio::test]
async fn the_process_ends_with_0_though_a_client_does_not_read_its_answer() {
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &user_api::db::MIGRATOR).await.unwrap();
    let grace = Duration::from_secs(4);
    let mut variables = variables(database.url());
    variables.push(("SHUTDOWN_GRACE", format!("{}s", grace.as_secs())));
    let service = Service::spawn("user-api", &variables);
    service.ready().await;
    let mut stuck = stuff(service.http_addr()).await;
    let told = Instant::now();
    let status = service.terminate().await;
    assert_eq!(status.code(), Some(0), "{:#?}", service.log_lines());
    // Half of the grace period is the client's: had it ended before, nobody would have been waited for.
    let took = told.elapsed();
    assert!(took >= grace / 2 && took < grace, "{took:?}");
    let asking = async { while stuck.write_all(GET.as_bytes()).await.is_ok() {} };
    timeout(SOON, asking).await.expect("the connection stands, though nobody serves it");
}

#[tokio::test]
async fn a_client_has_so_many_connections_and_others_have_theirs() {
    let app = TestApp::start(&[("MAX_CONNECTIONS_PER_CLIENT", "2")]).await;
    let (first, second) = (answered(&app).await, answered(&app).await);
    assert_eq!((first.1.as_str(), second.1.as_str()), ("200", "200"));
    let refusal = said(&app, "").await;
    assert!(refusal.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{refusal}");
    assert!(refusal.contains("\"type\":\"/problems/too-many-connections\""), "{refusal}");
    assert!(refusal.to_lowercase().contains("retry-after: "), "{refusal}");
    drop(first);
    let another = async || (answered(&app).await.1 == "200").then_some(());
    eventually("one that was closed makes room for another", SOON, another).await;
}

#[tokio::test]
async fn the_connections_of_a_trusted_proxy_are_not_counted() {
    let app = TestApp::start(&[("MAX_CONNECTIONS_PER_CLIENT", "1"), ("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let (stream, status) = answered(&app).await;
        assert_eq!(status, "200");
        open.push(stream);
    }
}

#[tokio::test]
async fn beyond_all_connections_the_next_waits_for_one_to_end() {
    let app = TestApp::start(&[("MAX_CONNECTIONS", "1"), ("MAX_CONNECTIONS_PER_CLIENT", "0")]).await;
    let (first, _) = answered(&app).await;
    let mut second = Box::pin(answered(&app));
    assert!(timeout(Duration::from_millis(300), &mut second).await.is_err(), "there is room for one");
    drop(first);
    assert_eq!(second.await.1, "200");
}

#[tokio::test]
async fn a_head_that_cannot_be_served_is_answered_with_a_problem() {
    let app = TestApp::start(&[]).await;
    let long = "a".repeat(100_000);
    for (text, status, problem) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), "414", "uri-too-long"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"), "431", "head-too-large"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: 1\r\n".repeat(200)), "431", "head-too-large"),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "400", "bad-request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".to_owned(), "400", "bad-request"),
        ("GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(), "400", "bad-request"),
        ("\u{16}\u{3}\u{1} TLS to a plain port\r\n\r\n".to_owned(), "400", "bad-request"),
    ] {
        let answer = said(&app, &text).await;
        let begin: String = text.chars().take(40).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{begin}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect(&begin);
        assert!(head.to_lowercase().contains("content-type: application/problem+json"), "{begin}: {head}");
        assert!(body.contains(&format!("\"type\":\"/problems/{problem}\"")), "{begin}: {body}");
    }
}
