//! What a real broker does to our consumers and publishers, and what they make of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod consuming;
mod exchange;
mod greeting;
mod publishing;
mod queues;
mod reading;
mod silence;

use std::time::Duration;

use amqp::topology::QueueSpec;
use amqp::{Broker, Connection, Outgoing, Properties, topology};

const QUEUE: &str = "email_queue";
const SOON: Duration = Duration::from_secs(20);

fn broker(url: &str, name: &str) -> Broker {
    Broker::new(url.parse().expect("a broker URL"), name)
}

fn message(queue: &str, id: &str) -> Outgoing {
    let properties = Properties { message_id: Some(id.to_owned()), ..Properties::default() };
    Outgoing { queue: queue.to_owned(), body: id.as_bytes().to_vec(), properties }
}

async fn connect(url: &str) -> Connection {
    broker(url, "test").connect().await.expect("a connection")
}

/// A connection to a vhost where these queues are.
async fn connect_with(url: &str, queues: &[QueueSpec]) -> Connection {
    let connection = connect(url).await;
    topology::ensure(&connection, queues).await.expect("the queues");
    connection
}
