//! RabbitMQ can be killed, restarted and paused without losing its ports or what was confirmed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use testkit::lapin::types::FieldTable;
use testkit::{Rabbit, eventually};

#[tokio::test]
async fn every_test_has_a_vhost_of_its_own_where_queues_are_quorum_queues() {
    let (a, b) = tokio::join!(testkit::vhost(), testkit::vhost());
    let client = a.client().await;
    client.declare("q", FieldTable::default()).await.unwrap();
    client.publish_bare("q", b"hello").await;
    assert_eq!(client.ready("q").await, 1);
    assert_eq!(a.queue_info("q").await.expect("the queue exists").kind, "quorum");
    assert!(b.queue_info("q").await.is_none(), "the other vhost does not know the queue");
    assert_eq!(client.take("q").await.unwrap().body, b"hello");
    assert!(client.take("q").await.is_none());
}

#[tokio::test]
async fn the_broker_closes_connections_by_name() {
    let vhost = testkit::vhost().await;
    let client = vhost.client().await;
    let closed = eventually("the connection shows", Duration::from_secs(10), async || {
        Some(vhost.close_connections("testkit").await).filter(|n| *n > 0)
    });
    assert_eq!(closed.await, 1);
    eventually("the client notices", Duration::from_secs(10), async || {
        client.declare("q", FieldTable::default()).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_broker_comes_back_on_its_ports_with_what_was_confirmed() {
    let broker = Rabbit::start().await;
    let before = (broker.amqp_url().to_owned(), broker.management_url().to_owned());
    let client = broker.client().await;
    client.declare("q", FieldTable::default()).await.unwrap();
    client.publish_bare("q", b"hello").await;
    broker.queues_written().await;

    broker.kill();
    broker.restart().await;
    assert_eq!(before, (broker.amqp_url().to_owned(), broker.management_url().to_owned()));
    let client = broker.client().await;
    assert_eq!(client.take("q").await.expect("the message is there after the kill").body, b"hello");
    client.publish_bare("q", b"again").await;

    broker.restart().await;
    assert_eq!(broker.client().await.ready("q").await, 1, "after an orderly restart");

    broker.pause();
    let silence = tokio::time::timeout(Duration::from_millis(500), broker.client()).await;
    assert!(silence.is_err(), "a paused broker answered");
    broker.resume();
    assert_eq!(broker.client().await.ready("q").await, 1);

    broker.memory_alarm(true).await;
    assert!(broker.ctl(&["eval", "rabbit_alarm:get_alarms()."]).await.contains("memory"));
    broker.memory_alarm(false).await;
    assert!(!broker.ctl(&["eval", "rabbit_alarm:get_alarms()."]).await.contains("memory"));
}

#[tokio::test]
async fn nodes_beside_each_other_share_their_queues() {
    let first = Rabbit::start().await;
    let second = first.start_beside().await;
    let client = first.client().await;
    client.declare("q", FieldTable::default()).await.unwrap();
    client.publish_bare("q", b"hello").await;
    assert_eq!(second.client().await.take("q").await.expect("the message of the other node").body, b"hello");
    let members = first.ctl(&["list_queues", "members"]).await;
    assert_eq!(members.matches("sluice-").count(), 2, "{members}");
}
