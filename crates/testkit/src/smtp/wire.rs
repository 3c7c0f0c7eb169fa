//! Reading commands and contents, writing answers.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::mail::unstuffed;
use super::record::Shared;
use super::syntax::write_reply;

/// Longest command line.
const LONGEST_LINE: usize = 8 << 10;

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum End {
    /// Closed by either side.
    Closed,
    /// The client wants TLS, and was told to begin.
    Upgrade,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// One direction each. Answers are written when there is nothing left to read, so that pipelined commands get one packet.
pub(crate) struct Wire<S> {
    stream: S,
    shared: Arc<Shared>,
    /// What was read; of it, what is consumed.
    buffer: Vec<u8>,
    consumed: usize,
    /// Answers not yet written.
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, shared: Arc<Shared>) -> Self {
        Self { stream, shared, buffer: Vec::with_capacity(16 << 10), consumed: 0, out: Vec::with_capacity(512) }
    }

    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Says nothing until the client has enough.
    pub(crate) async fn hang(&mut self) -> End {
        let _ = self.flush().await;
        while self.stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
        End::Closed
    }

    pub(crate) fn say(&mut self, reply: &str) {
        write_reply(reply, &mut self.out);
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Writes what is to be said, then reads more.
    async fn fill(&mut self) -> Result<(), End> {
        self.flush().await?;
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.reserve(16 << 10);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(End::Closed),
            _ => {
                self.shared.awake().await;
                Ok(())
            }
        }
    }

    pub(crate) async fn line(&mut self) -> Result<String, End> {
        loop {
            let rest = &self.buffer[self.consumed..];
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let line = String::from_utf8_lossy(&rest[..end]).trim_end().to_owned();
                self.consumed += end + 1;
                return Ok(line);
            }
            if rest.len() > LONGEST_LINE {
                self.say("500 5.5.2 line too long");
                return Err(End::Closed);
            }
            self.fill().await?;
        }
    }

    /// Reads up to the lone dot: the content if it is to be kept, and its length.
    pub(crate) async fn content(&mut self) -> Result<(Option<Vec<u8>>, usize), End> {
        let keep = self.shared.options.keep;
        let mut searched = 0;
        loop {
            let rest = &self.buffer[self.consumed..];
            if rest.starts_with(b".\r\n") {
                self.consumed += 3;
                return Ok((keep.then(Vec::new), 0));
            }
            if let Some(at) = memchr::memmem::find(&rest[searched..], b"\r\n.\r\n") {
                let length = searched + at + 2;
                let content = keep.then(|| unstuffed(&rest[..length]));
                self.consumed += length + 3;
                return Ok((content, length));
            }
            searched = rest.len().saturating_sub(4);
            self.fill().await?;
        }
    }
}
