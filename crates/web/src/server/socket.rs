//! The socket as hyper sees it: it tells the pace, and keeps hyper's own answers back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pace::{Awaited, Pace};

/// A connection of a client.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pace: Pace,
    /// Status of an answer that hyper gave itself, which has no body: it is written by us.
    pub(super) kept_back: Option<StatusCode>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, pace: Pace) -> Self {
        Self { stream, pace, kept_back: None }
    }

    /// Nobody has been asked, and there is an answer: to a head that hyper could not read.
    fn keep_back(&mut self, answer: &[u8]) -> bool {
        if matches!(self.pace.awaited(), Awaited::Request | Awaited::Head) {
            self.kept_back = self.kept_back.or_else(|| status(answer));
        }
        self.kept_back.is_some()
    }

    fn tell<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.pace.stuck();
        }
        written
    }
}

/// The status in the first line of an answer.
fn status(answer: &[u8]) -> Option<StatusCode> {
    StatusCode::from_bytes(answer.strip_prefix(b"HTTP/1.")?.get(2..5)?).ok()
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pace.received();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.keep_back(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.tell(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keep_back(bufs.first().map_or(&[], |first| &**first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.tell(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when hyper has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.pace.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
