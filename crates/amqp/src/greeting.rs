//! Who a broker says that it is.
//!
//! The library that speaks AMQP for us keeps this to itself, so the first step of the handshake is made once more, on a
//! connection that is dropped right after it.

use std::io;

use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use lapin::tcp::AMQPUriTcpExt as _;
use lapin::types::parsing::parse_field_table;
use lapin::types::{AMQPValue, FieldTable};

use crate::Broker;
use crate::connection::CONNECT;
use crate::error::AmqpError;

/// The client's first bytes: the protocol and its version.
const HELLO: &[u8; 8] = b"AMQP\0\0\x09\x01";
/// A broker's greeting is some 500 bytes.
const LONGEST: usize = 64 * 1024;
/// Class, method, and the protocol's version stand before the table.
const BEFORE_TABLE: usize = 6;

/// What a broker says of itself when a client connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Such as `RabbitMQ`.
    pub product: String,
    /// Such as `4.1.0`.
    pub version: String,
}

impl Greeting {
    /// The first number of the version.
    pub fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }

    fn parse(start: &[u8]) -> Option<Self> {
        let (_, properties) = parse_field_table(start.get(BEFORE_TABLE..)?).ok()?;
        Some(Self { product: text(&properties, "product"), version: text(&properties, "version") })
    }
}

fn text(properties: &FieldTable, name: &str) -> String {
    match properties.inner().get(name) {
        Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        _ => String::new(),
    }
}

impl Broker {
    /// Asks the broker who it is, within 10 s.
    ///
    /// # Errors
    /// It can't be reached, or does not greet as an AMQP broker does.
    pub async fn greeting(&self) -> Result<Greeting, AmqpError> {
        let attempt = || format!("ask {} who it is", self.url());
        match tokio::time::timeout(CONNECT, self.first_step()).await {
            Ok(Ok(start)) => {
                Greeting::parse(&start).ok_or_else(|| AmqpError::Protocol(format!("{}: no greeting", attempt())))
            }
            Ok(Err(error)) => Err(AmqpError::Protocol(format!("{}: {error}", attempt()))),
            Err(_) => Err(AmqpError::Timeout { attempt: attempt(), limit: CONNECT }),
        }
    }

    /// The content of the broker's `connection.start`.
    async fn first_step(&self) -> io::Result<Vec<u8>> {
        let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
        let mut stream = self.url().uri().connect_async(&runtime).await?;
        stream.write_all(HELLO).await?;
        stream.flush().await?;
        // Type, channel and size of the frame.
        let mut head = [0; 7];
        stream.read_exact(&mut head).await?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let size = usize::try_from(size).ok().filter(|size| *size <= LONGEST);
        let size = size.ok_or_else(|| io::Error::other("its greeting is too long"))?;
        let mut start = vec![0; size];
        stream.read_exact(&mut start).await?;
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_greeting_is_none() {
        for bytes in [&b""[..], b"\0\x0a\0\x0a\0\x09", b"\0\x0a\0\x0a\0\x09\xff\xff\xff\xff"] {
            assert_eq!(Greeting::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_first_number_of_a_version_is_the_major_one() {
        for (version, major) in [("4.1.0", Some(4)), ("3.10.8", Some(3)), ("4.3.0-rc.1", Some(4)), ("", None)] {
            let greeting = Greeting { product: "RabbitMQ".to_owned(), version: version.to_owned() };
            assert_eq!(greeting.major(), major, "{version:?}");
        }
    }
}
