//! An exchange by name: made, found, refused, and published to with and without a queue behind it.

use amqp::topology::{TopologyError, ensure_exchange};
use amqp::{Outcome, PublisherConnection};
use testkit::lapin::ExchangeKind;
use testkit::lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use testkit::lapin::types::FieldTable;

use crate::{SOON, broker, connect, message};

const EXCHANGE: &str = "email.events";

#[tokio::test]
async fn what_is_published_is_in_each_queue_that_is_bound_for_it_and_nowhere_where_none_is() {
    let vhost = testkit::vhost().await;
    let mut connection = PublisherConnection::open_to(&broker(vhost.amqp_url(), "test"), EXCHANGE, SOON).await.unwrap();
    let batch = [message("mail.sent", "1"), message("mail.dead", "2")];
    // Not returned: nobody wants them.
    assert_eq!(connection.publish(&batch).await.unwrap(), [Outcome::Confirmed, Outcome::Confirmed]);

    let client = vhost.client().await;
    for (queue, keys) in [("all", "mail.*"), ("dead", "mail.dead")] {
        client.declare(queue, FieldTable::default()).await.unwrap();
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bound = client.channel().queue_bind(queue.into(), EXCHANGE.into(), keys.into(), options, arguments);
        bound.await.unwrap();
    }
    assert_eq!(connection.publish(&batch).await.unwrap(), [Outcome::Confirmed, Outcome::Confirmed]);
    assert_eq!((client.ready("all").await, client.ready("dead").await), (2, 1));
    connection.close().await;
}

#[tokio::test]
async fn another_exchange_of_the_name_is_left_alone_and_a_right_that_is_missing_is_named() {
    let vhost = testkit::vhost().await;
    let url = vhost.url_of_user("^$", ".*", ".*").await;
    let missing = ensure_exchange(&connect(&url).await, EXCHANGE).await;
    assert!(matches!(&missing, Err(TopologyError::NoExchange { exchange, .. }) if exchange == EXCHANGE), "{missing:?}");
    // Once it is there, who may not declare it may use it.
    ensure_exchange(&connect(vhost.amqp_url()).await, EXCHANGE).await.unwrap();
    ensure_exchange(&connect(&url).await, EXCHANGE).await.unwrap();

    let (client, durable) = (vhost.client().await, ExchangeDeclareOptions { durable: true, ..Default::default() });
    let declared =
        client.channel().exchange_declare("other".into(), ExchangeKind::Fanout, durable, FieldTable::default());
    declared.await.unwrap();
    let other = ensure_exchange(&connect(vhost.amqp_url()).await, "other").await;
    assert!(matches!(&other, Err(TopologyError::OtherExchange { exchange, .. }) if exchange == "other"), "{other:?}");
}
