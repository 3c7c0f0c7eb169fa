//! HTTP/1.1 over connections that have to behave.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::error::{Kind, Problem};
use crate::middleware::client::Peer;
use crate::middleware::request_id;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4_096;
/// The head of a request is at most so long, in bytes.
const HEAD: usize = 32 * 1024;
/// How long, and for how many bytes, a connection is listened to after its last answer: closed at once on a client that
/// is still sending, it would lose the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1024 * 1024;

/// Serves until the token is cancelled, then finishes what is under way. Dropping the future breaks it off.
pub async fn serve(listener: TcpListener, app: Router, head_timeout: Duration, token: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = token.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(converse(stream, peer, app.clone(), head_timeout, token.clone()));
            }
            Err(error) => {
                // Out of file descriptors, mostly: it passes when connections end.
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, peer: SocketAddr, app: Router, head_timeout: Duration, token: CancellationToken) {
    // Answers are written in one go; nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(app.clone(), peer, request));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut leaving = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
            () = token.cancelled(), if !leaving => {
                leaving = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    let unfinished = !parts.read_buf.is_empty();
    if ended.is_err_and(|error| error.is_timeout()) && unfinished {
        let _ = tokio::time::timeout(LINGER, stream.write_all(&too_slow())).await;
    }
    close(stream).await;
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn answer(app: Router, peer: SocketAddr, mut request: Request<Incoming>) -> Answering {
    request.extensions_mut().insert(Peer(peer));
    Box::pin(app.oneshot(request.map(Body::new)))
}

/// The answer to half a head: hyper has none.
fn too_slow() -> Vec<u8> {
    let id = request_id::generate();
    let problem = Problem::new(Kind::RequestTimeout);
    let body = problem.json(&id);
    let mut answer = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nx-request-id: {id}\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        problem.kind().status(),
        body.len(),
    )
    .into_bytes();
    answer.extend(body);
    answer
}

async fn close(mut stream: TcpStream) {
    let linger = async {
        stream.shutdown().await?;
        let (mut rest, mut sink) = ((&mut stream).take(LINGER_BYTES), tokio::io::sink());
        tokio::io::copy(&mut rest, &mut sink).await
    };
    let _ = tokio::time::timeout(LINGER, linger).await;
}
