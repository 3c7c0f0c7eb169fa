//! A plain AMQP client for tests: what a stranger would send, what a stranger would see.

use std::time::Duration;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::time::timeout;

/// How long the broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Asked so often, with so long in between, a queue that says nothing each time is empty.
const CERTAIN: u32 = 3;
const ANOTHER_LOOK: Duration = Duration::from_millis(30);

/// A connection with one channel in confirm mode.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    channel: Channel,
}

/// A message that was taken off a queue, and acknowledged.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its body.
    pub body: Vec<u8>,
    /// Its properties, headers among them, as they came.
    pub properties: BasicProperties,
    /// Whether the broker said so.
    pub redelivered: bool,
}

impl Taken {
    /// A header of any simple type, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        use lapin::types::AMQPValue as Value;
        let headers = self.properties.headers().as_ref()?;
        Some(match headers.inner().get(name)? {
            Value::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            Value::ShortString(text) => text.as_str().to_owned(),
            Value::Boolean(value) => value.to_string(),
            Value::ShortShortInt(n) => n.to_string(),
            Value::ShortShortUInt(n) => n.to_string(),
            Value::ShortInt(n) => n.to_string(),
            Value::ShortUInt(n) => n.to_string(),
            Value::LongInt(n) => n.to_string(),
            Value::LongUInt(n) => n.to_string(),
            Value::LongLongInt(n) => n.to_string(),
            Value::Timestamp(n) => n.to_string(),
            other => format!("{other:?}"),
        })
    }

    /// The names of its headers.
    pub fn header_names(&self) -> Vec<String> {
        let headers = self.properties.headers().as_ref();
        headers.map(|table| table.inner().keys().map(|k| k.as_str().to_owned()).collect()).unwrap_or_default()
    }

    /// Its message id.
    pub fn message_id(&self) -> Option<&str> {
        self.properties.message_id().as_ref().map(|id| id.as_str())
    }
}

impl Client {
    pub(crate) async fn connect(url: &str) -> lapin::Result<Self> {
        let connecting = async {
            let options = ConnectionProperties::default().with_connection_name("testkit".into());
            let connection = Connection::connect(url, options).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Self { connection, channel })
        };
        timeout(PATIENCE, connecting)
            .await
            .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    /// The channel, for whatever is not here; in confirm mode.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Declares a durable queue with these arguments; none is what a tutorial's client does.
    pub async fn declare(&self, queue: &str, arguments: FieldTable) -> lapin::Result<()> {
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(queue.into(), options, arguments).await.map(drop)
    }

    /// How many messages wait in a queue, exactly and now.
    pub async fn ready(&self, queue: &str) -> u32 {
        self.look(queue).await.message_count()
    }

    /// Somebody consumes a queue, and nothing waits in it: whoever says that there is a consumer has looked.
    pub async fn is_taken(&self, queue: &str) -> bool {
        let queue = self.ask(queue).await;
        queue.consumer_count() > 0 && queue.message_count() == 0
    }

    /// Nobody consumes a queue, and nothing is in it.
    pub async fn is_left_empty(&self, queue: &str) -> bool {
        let queue = self.look(queue).await;
        queue.consumer_count() == 0 && queue.message_count() == 0
    }

    /// A quorum queue whose leader is busy says 0 of everything: then it is asked again, a few times.
    async fn look(&self, queue: &str) -> lapin::Queue {
        for _ in 1..CERTAIN {
            let queue = self.ask(queue).await;
            if queue.message_count() > 0 || queue.consumer_count() > 0 {
                return queue;
            }
            tokio::time::sleep(ANOTHER_LOOK).await;
        }
        self.ask(queue).await
    }

    async fn ask(&self, queue: &str) -> lapin::Queue {
        let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let declared = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        let declared = timeout(PATIENCE, declared).await.expect("the broker answers");
        declared.unwrap_or_else(|e| panic!("asking after queue {queue}: {e}"))
    }

    /// Publishes a bare message: a body with no properties at all; confirmed when this returns.
    pub async fn publish_bare(&self, queue: &str, body: &[u8]) {
        self.publish(queue, body, BasicProperties::default()).await;
    }

    /// Publishes with these properties; confirmed when this returns.
    pub async fn publish(&self, queue: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let publishing =
            async { self.channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await };
        let confirm = timeout(PATIENCE, publishing).await.expect("the broker confirms in time").expect("publishing");
        assert!(confirm.is_ack() && confirm.take_message().is_none(), "message to {queue} was refused or returned");
    }

    /// Takes the first message off a queue; `None` when it is empty.
    pub async fn take(&self, queue: &str) -> Option<Taken> {
        let got = timeout(PATIENCE, self.channel.basic_get(queue.into(), BasicGetOptions::default()));
        let delivery = got.await.expect("the broker answers").expect("getting a message")?.delivery;
        delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledging");
        Some(Taken { body: delivery.data, properties: delivery.properties, redelivered: delivery.redelivered })
    }

    /// Closes the connection.
    pub async fn close(self) {
        let _ = timeout(PATIENCE, self.connection.close(200, "done".into())).await;
    }
}
