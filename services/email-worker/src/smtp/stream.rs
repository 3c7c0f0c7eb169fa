//! The byte stream under the SMTP library.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes taken from the connection at a time; most answers are shorter.
const CHUNK: usize = 512;

/// Digits of a code.
const CODE: usize = 3;
/// Bytes of a line that are read; the rest is skipped. RFC 5321 allows 512.
const LONGEST: usize = 900;

/// Bytes that may be heard in answer to one thing said. Without an end to them only the clock would end the reading.
const MOST: usize = 16 * 1024;

/// A connection, plain or secured, from which the library reads answers in the one form it understands.
///
/// It takes an answer without a text for the end of the connection, though RFC 5321 (section 4.2) allows it: a mail that
/// was taken with a bare `250` would be sent again and again. It does the same with a text that is not UTF-8, and panics
/// when a line of the answer to EHLO is blank. And it always wants to read a greeting first, also after STARTTLS.
pub(super) struct SmtpStream<S> {
    stream: S,
    peer: SocketAddr,
    answers: Answers,
    heard: usize,
    written: BytesWritten,
}

impl<S> SmtpStream<S> {
    /// `greeting` is read before anything that comes from `stream`.
    pub(super) fn new(stream: S, peer: SocketAddr, greeting: &[u8]) -> Self {
        let answers = Answers { ready: greeting.to_vec(), taken: 0, column: 0 };
        Self { stream, peer, answers, heard: 0, written: BytesWritten::default() }
    }

    /// Goes on telling when the library has the stream.
    pub(super) fn written(&self) -> BytesWritten {
        self.written.clone()
    }
}

/// How many bytes were given to the connection: the library does not tell whether it is still writing, or waits for an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct BytesWritten(Arc<AtomicU64>);

impl BytesWritten {
    /// So far. What is counted may be on its way; what is not was never given to the network.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Answers on their way, in the form that the library reads.
#[derive(Default)]
struct Answers {
    ready: Vec<u8>,
    taken: usize,
    column: usize,
}

impl Answers {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\r' => continue,
                b'\n' => {
                    let end: &[u8] = if self.column == CODE { b" \r\n" } else { b"\r\n" };
                    self.ready.extend_from_slice(end);
                    self.column = 0;
                    continue;
                }
                // The library would gather a line without an end for as long as it comes.
                _ if self.column == LONGEST => continue,
                // The first character of a text is never blank.
                b' ' if self.column == CODE + 1 => self.ready.push(b'?'),
                b' '..=b'~' => self.ready.push(*byte),
                _ => self.ready.push(b'?'),
            }
            self.column += 1;
        }
    }

    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.ready[self.taken..];
        let now = &rest[..rest.len().min(buf.remaining())];
        buf.put_slice(now);
        self.taken += now.len();
        if self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
        }
    }
}

impl<S> fmt::Debug for SmtpStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpStream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for SmtpStream<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SmtpStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.answers.ready.is_empty() {
            let mut chunk = [0; CHUNK];
            let mut heard = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut heard))?;
            if heard.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.answers.push(heard.filled());
            let length = heard.filled().len();
            self.heard += length;
            if self.heard > MOST {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "it answers without end")));
            }
        }
        self.answers.take(buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SmtpStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.heard = 0;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.written.0.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_not_gathered() {
        let mut answers = Answers::default();
        (0..1_000).for_each(|_| answers.push(&[b'2'; 1_000]));
        assert_eq!(answers.ready.len(), LONGEST);
    }

    #[test]
    fn answers_get_the_form_that_the_library_reads() {
        for (said, read) in [
            ("250 ok\r\n", "250 ok\r\n"),
            ("250\r\n", "250 \r\n"),
            ("250 \r\n", "250 \r\n"),
            ("250-\r\n250 ok\r\n", "250-\r\n250 ok\r\n"),
            ("250- \r\n250 \t\r\n", "250-?\r\n250 ?\r\n"),
            ("250 one\n250 two\n", "250 one\r\n250 two\r\n"),
            ("550 Empf\u{e4}nger\r\n", "550 Empf??nger\r\n"),
            ("", ""),
        ] {
            for size in 1..=said.len().max(1) {
                let mut answers = Answers::default();
                said.as_bytes().chunks(size).for_each(|chunk| answers.push(chunk));
                assert_eq!(String::from_utf8(answers.ready).unwrap(), read, "{said:?} by {size}");
            }
        }
    }
}
