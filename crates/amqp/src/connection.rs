//! One connection to the broker.

use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Channel, ConnectionProperties};

use crate::BrokerUrl;
use crate::error::{AmqpError, bounded};
use crate::transport;

/// TCP, TLS and the AMQP handshake together.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// Any single answer of the broker, other than a confirm.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// The library keeps two buffers of 32 frames for each connection: with the broker's 128 KiB they would be most of the
/// memory of a service. Larger bodies travel in several frames, larger headers are made to fit (`sieve`). Bytes.
const FRAME_MAX: u32 = 16 * 1024;
/// Both sides notice a dead peer within two of these. Seconds.
const HEARTBEAT: u16 = 10;

/// A broker, and the name under which we appear in its list of connections.
#[derive(Debug, Clone)]
pub struct Broker {
    url: BrokerUrl,
    name: String,
}

impl Broker {
    /// The broker at `url`; `name` is shown in its management UI.
    pub fn new(url: BrokerUrl, name: impl Into<String>) -> Self {
        Self { url, name: name.into() }
    }

    /// Where it is.
    pub fn url(&self) -> &BrokerUrl {
        &self.url
    }

    /// Connects, within 10 s.
    ///
    /// # Errors
    /// The broker can't be reached, or refuses us.
    pub async fn connect(&self) -> Result<Connection, AmqpError> {
        let mut uri: AMQPUri = self.url.uri().clone();
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        // Zero is no limit of one's own.
        let frame_max = uri.query.frame_max.filter(|size| *size > 0).unwrap_or(FRAME_MAX).min(FRAME_MAX);
        uri.query.frame_max = Some(frame_max);
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let socket = async move |uri, _| transport::connect(uri, frame_max).await;
        let connecting = lapin::Connection::connector(uri, transport::runtime(frame_max), socket, properties);
        // It is large, and whoever connects holds it.
        let connecting = Box::pin(connecting);
        let connected = bounded(CONNECT, || format!("connect to {}", self.url), connecting).await;
        let inner = connected.map_err(AmqpError::of_connecting)?;
        Ok(Connection { inner })
    }
}

/// One TCP connection. Its channels end with it.
pub struct Connection {
    inner: lapin::Connection,
}

impl Connection {
    /// Whether it can still be used, as far as is known here.
    pub fn is_open(&self) -> bool {
        self.inner.status().connected()
    }

    /// The broker is short of memory or disk and takes nothing on this connection for now.
    pub fn is_blocked(&self) -> bool {
        self.inner.status().blocked()
    }

    /// Ends the connection politely, within a second; an error only means that it was gone already.
    pub async fn close(&self) {
        if self.is_open() {
            let closing = self.inner.close(200, "done".into());
            if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(1), closing).await {
                tracing::debug!(%error, "the connection was gone before it was closed");
            }
        }
    }

    /// The largest frame that was agreed on, in bytes.
    pub(crate) fn frame_max(&self) -> usize {
        self.inner.configuration().frame_max() as usize
    }

    pub(crate) async fn channel(&self) -> Result<Channel, AmqpError> {
        bounded(ANSWER, || "open a channel".to_owned(), self.inner.create_channel()).await
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("open", &self.is_open()).field("blocked", &self.is_blocked()).finish()
    }
}
