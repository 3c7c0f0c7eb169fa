//! A publisher that sends any bytes as properties: what no client library would write, and a broker takes all the same.

use std::time::Duration;

use lapin::uri::AMQPUri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const END: u8 = 0xce;
/// The largest frame that RabbitMQ offers by default, and that this publisher asks for, in bytes.
const FRAME_MAX: u32 = 131_072;

/// A connection with one channel in confirm mode; another one after the broker refused something.
#[derive(Debug)]
pub struct RawPublisher {
    uri: AMQPUri,
    stream: Option<TcpStream>,
}

impl RawPublisher {
    pub(crate) fn new(url: &str) -> Self {
        Self { uri: url.parse().expect("the broker's address"), stream: None }
    }

    /// Publishes to a queue. `properties` are those of a content header: flags, then what they announce.
    ///
    /// # Errors
    /// The broker refuses it, for this reason, and has not got it.
    pub async fn publish(&mut self, queue: &str, properties: &[u8], body: &[u8]) -> Result<(), String> {
        self.publish_through("", queue.as_bytes(), properties, body).await
    }

    /// Publishes through an exchange, with a routing key of any bytes.
    ///
    /// # Errors
    /// The broker refuses it, for this reason, and has not got it.
    pub async fn publish_through(
        &mut self,
        exchange: &str,
        routing_key: &[u8],
        properties: &[u8],
        body: &[u8],
    ) -> Result<(), String> {
        timeout(PATIENCE, self.exchange(exchange, routing_key, properties, body))
            .await
            .expect("the broker answers in time")
    }

    async fn exchange(&mut self, exchange: &str, key: &[u8], properties: &[u8], body: &[u8]) -> Result<(), String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.uri).await,
        };
        let publish = [&[0, 60, 0, 40, 0, 0][..], &short(exchange.as_bytes()), &short(key), &[0]].concat();
        let mut frames = frame(1, 1, &publish);
        let header = [&[0, 60, 0, 0][..], &(body.len() as u64).to_be_bytes(), properties].concat();
        frames.extend_from_slice(&frame(2, 1, &header));
        for piece in body.chunks(FRAME_MAX as usize - 8) {
            frames.extend_from_slice(&frame(3, 1, piece));
        }
        // A broker that refuses the header may close before it has read the rest.
        let _ = stream.write_all(&frames).await;
        match answer(&mut stream).await? {
            ([0, 60, 0, 80], _) => {
                self.stream = Some(stream);
                Ok(())
            }
            (method, arguments) => Err(format!("{method:?} {}", String::from_utf8_lossy(&arguments))),
        }
    }
}

async fn connect(uri: &AMQPUri) -> TcpStream {
    let authority = &uri.authority;
    let mut stream = TcpStream::connect((authority.host.as_str(), authority.port)).await.expect("the broker listens");
    stream.write_all(b"AMQP\0\0\x09\x01").await.expect("the broker reads");
    expect(&mut stream, [0, 10, 0, 10]).await;
    let secret = format!("\0{}\0{}", authority.userinfo.username, authority.userinfo.password);
    let start_ok =
        [&[0, 10, 0, 11, 0, 0, 0, 0][..], &short(b"PLAIN"), &long(secret.as_bytes()), &short(b"en_US")].concat();
    send(&mut stream, 0, &start_ok).await;
    expect(&mut stream, [0, 10, 0, 30]).await;
    send(&mut stream, 0, &[&[0, 10, 0, 31, 0, 1][..], &FRAME_MAX.to_be_bytes(), &[0, 0]].concat()).await;
    send(&mut stream, 0, &[&[0, 10, 0, 40][..], &short(uri.vhost.as_bytes()), &[0, 0]].concat()).await;
    expect(&mut stream, [0, 10, 0, 41]).await;
    send(&mut stream, 1, &[0, 20, 0, 10, 0]).await;
    expect(&mut stream, [0, 20, 0, 11]).await;
    send(&mut stream, 1, &[0, 85, 0, 10, 0]).await;
    expect(&mut stream, [0, 85, 0, 11]).await;
    stream
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("a short string")][..], text].concat()
}

fn long(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).expect("a long string").to_be_bytes()[..], text].concat()
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &channel.to_be_bytes(), &long(payload), &[END]].concat()
}

async fn send(stream: &mut TcpStream, channel: u16, method: &[u8]) {
    stream.write_all(&frame(1, channel, method)).await.expect("the broker reads");
}

async fn expect(stream: &mut TcpStream, method: [u8; 4]) {
    let (came, arguments) = answer(stream).await.expect("the broker answers");
    assert_eq!(came, method, "{}", String::from_utf8_lossy(&arguments));
}

/// The next method: its class and number, and its arguments.
async fn answer(stream: &mut TcpStream) -> Result<([u8; 4], Vec<u8>), String> {
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).await.map_err(|error| error.to_string())?;
        let [kind, _, _, size @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes(size) as usize + 1];
        stream.read_exact(&mut payload).await.map_err(|error| error.to_string())?;
        assert_eq!(payload.pop(), Some(END), "the broker sends whole frames");
        if kind == 1 {
            let method = *payload.first_chunk().expect("a method");
            return Ok((method, payload[4..].to_vec()));
        }
    }
}
