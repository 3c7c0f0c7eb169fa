//! One connection, from its first byte to its end.

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
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::pace::{Awaited, Clock, Limits, Pace};
use super::socket::Socket;
use super::unasked;
use crate::middleware::client::Peer;
use crate::problem::{Kind, Problem};

/// The head of a request is at most so long, in bytes.
const HEAD: usize = 32 * 1024;
/// How long, and for how many bytes, a connection is listened to after its last answer: closed at once on a client that
/// is still sending, it would lose the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1024 * 1024;

/// Serves it. When `leaving` gets a time, what is under way is finished, and the client has until then.
pub(super) async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    limits: Limits,
    mut leaving: watch::Receiver<Option<Instant>>,
) {
    // Answers are written in one go; nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let pace = Pace::new(limits);
    let mut clock = Clock::new(pace.clone());
    let asked = pace.clone();
    let service = service_fn(move |request| {
        asked.asked();
        answer(app.clone(), peer, request, asked.clone())
    });
    let mut connection = http1::Builder::new()
        // The pace sees to it.
        .header_read_timeout(None)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Socket::new(stream, pace.clone())), service);
    let over = loop {
        tokio::select! {
            // In this order: what happens changes the clock.
            biased;
            _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break None,
            over = poll_fn(|cx| clock.poll_over(cx)) => break Some(over),
            last = told_to_leave(&mut leaving) => {
                pace.leave(last);
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let socket = parts.io.into_inner();
    if over == Some(Awaited::Reader) {
        tracing::debug!("a connection is reset: its client does not read");
        return reset(&socket.stream);
    }
    let problem = match socket.kept_back {
        Some(status) => Some(unasked::unreadable(status, &parts.read_buf)),
        None => (over.is_some() && !parts.read_buf.is_empty()).then(|| Problem::new(Kind::REQUEST_TIMEOUT)),
    };
    part(socket.stream, problem).await;
}

/// Once: it is told only once.
async fn told_to_leave(leaving: &mut watch::Receiver<Option<Instant>>) -> Instant {
    loop {
        if leaving.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some(last) = *leaving.borrow() {
            return last;
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn answer(app: Router, peer: SocketAddr, mut request: Request<Incoming>, pace: Pace) -> Answering {
    request.extensions_mut().insert(Peer(peer));
    Box::pin(async move {
        let answer = app.oneshot(request.map(Body::new)).await;
        pace.answered();
        answer
    })
}

/// Says what is left to be said, and closes well.
pub(super) async fn part(mut stream: TcpStream, problem: Option<Problem>) {
    let linger = async {
        if let Some(problem) = problem {
            stream.write_all(&unasked::written(&problem)).await?;
        }
        stream.shutdown().await?;
        let (mut rest, mut sink) = ((&mut stream).take(LINGER_BYTES), tokio::io::sink());
        tokio::io::copy(&mut rest, &mut sink).await
    };
    let _ = tokio::time::timeout(LINGER, linger).await;
}

/// So that the kernel, too, keeps nothing for a client that does not read.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
