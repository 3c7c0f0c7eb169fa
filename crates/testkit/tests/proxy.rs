//! The proxy's network can be cut, slowed, and made to swallow everything.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use testkit::TcpProxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that sends back what it gets.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn ask(stream: &mut TcpStream) -> std::io::Result<u8> {
    stream.write_all(b"x").await?;
    stream.read_u8().await
}

#[tokio::test]
async fn faults_come_and_go() {
    let proxy = TcpProxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut stream).await.unwrap(), b'x');

    proxy.latency(Duration::from_millis(60));
    let asked = Instant::now();
    ask(&mut stream).await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(120), "there and back in {:?}", asked.elapsed());
    proxy.latency(Duration::ZERO);

    proxy.blackhole();
    let silence = tokio::time::timeout(Duration::from_millis(100), ask(&mut stream)).await;
    assert!(silence.is_err(), "a byte came through: {silence:?}");
    proxy.heal();
    assert_eq!(stream.read_u8().await.unwrap(), b'x', "what was swallowed comes through");

    proxy.cut();
    assert!(ask(&mut stream).await.is_err(), "the connection is closed");
    assert!(TcpStream::connect(proxy.addr()).await.is_err(), "new ones are refused");
    proxy.heal();
    let mut stream = TcpStream::connect(proxy.addr()).await.expect("taken again");
    ask(&mut stream).await.unwrap();
    proxy.cut_connections();
    assert!(ask(&mut stream).await.is_err(), "the connection is closed");
}
