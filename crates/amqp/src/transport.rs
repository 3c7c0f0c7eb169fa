//! The socket under the library, with the sieve in between.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite, IoSlice};
use lapin::tcp::{AMQPUriTcpExt as _, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPUri;

use crate::sieve::Sieve;

/// Bytes taken off the socket at once.
const PIECE: usize = 32 * 1024;

/// What to do about a port that speaks TLS where we do not.
const IN_SECRET: &str = "this port speaks TLS: amqps:// in AMQP_URL, or the port in the clear (5672)";

/// The type of a TLS record that is an alert (RFC 8446, 5.1): what somebody gets who does not begin with TLS. No frame has it.
const TLS_ALERT: u8 = 21;

type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// Tokio, whose connections are sieved.
pub(crate) type Sieving = RuntimeParts<Tokio, Sieved>;

/// On the runtime that this is called on; a client that asks for frames of `frame_max` bytes.
pub(crate) fn runtime(frame_max: u32) -> Runtime<Sieving> {
    let tokio = Tokio::current();
    Runtime::new(RuntimeParts::new(tokio.clone(), Sieved { tokio, frame_max }))
}

/// Connects, by TLS where the URI says so.
pub(crate) async fn connect(uri: AMQPUri, frame_max: u32) -> lapin::Result<AsyncTcpStream<Transport>> {
    let config = OwnedTLSConfig::default();
    let socket = uri.connect_with_config_async(config.as_ref(), &Runtime::new(Tokio::current())).await?;
    // Plain in the library's eyes: what is sieved has been decrypted.
    Ok(AsyncTcpStream::Plain(Transport::new(socket, frame_max)))
}

/// Tokio's reactor, with another type of connection.
#[derive(Debug, Clone)]
pub(crate) struct Sieved {
    tokio: Tokio,
    frame_max: u32,
}

impl Reactor for Sieved {
    type TcpStream = Transport;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (connecting, frame_max) = (self.tokio.tcp_connect_addr(addr), self.frame_max);
        async move { Ok(Transport::new(AsyncTcpStream::Plain(connecting.await?), frame_max)) }
    }
}

/// A connection whose incoming frames go through the sieve.
pub(crate) struct Transport {
    socket: Socket,
    sieve: Sieve,
    piece: Box<[u8]>,
    /// What came through the sieve, and how much of it was read.
    sieved: Vec<u8>,
    read: usize,
    /// Something came already.
    answered: bool,
}

impl Transport {
    fn new(socket: Socket, frame_max: u32) -> Self {
        let piece = vec![0; PIECE].into_boxed_slice();
        let sieved = Vec::with_capacity(PIECE);
        Self { socket, sieve: Sieve::new(frame_max), piece, sieved, read: 0, answered: false }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.read == this.sieved.len() {
            this.sieved.clear();
            this.read = 0;
            let length = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut this.piece))?;
            if !std::mem::replace(&mut this.answered, true) && this.piece[..length].first() == Some(&TLS_ALERT) {
                return Poll::Ready(Err(io::Error::other(IN_SECRET)));
            }
            // At the end nothing comes out, which is the end here too.
            this.sieve.take(&this.piece[..length], &mut this.sieved);
        }
        let length = buf.len().min(this.sieved.len() - this.read);
        buf[..length].copy_from_slice(&this.sieved[this.read..this.read + length]);
        this.read += length;
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(cx)
    }
}
