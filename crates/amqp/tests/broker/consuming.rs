//! Deliveries, and how they end.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use amqp::{Settled, Subscription, topology};
use futures_util::StreamExt as _;
use testkit::{Vhost, eventually};
use tokio::time::timeout;

use crate::{QUEUE, SOON, broker, connect_with};

/// Longer than an answer takes that waits for nothing.
const A_MOMENT: Duration = Duration::from_secs(1);

async fn publish(vhost: &Vhost, count: usize) {
    let client = vhost.client().await;
    let publishing = futures_util::stream::iter(0..count).for_each_concurrent(100, async |n| {
        client.publish_bare(QUEUE, n.to_string().as_bytes()).await;
    });
    publishing.await;
}

/// The next body and its receipt, which must come soon.
async fn next(subscription: &mut Subscription) -> amqp::Delivery {
    timeout(SOON, subscription.next()).await.expect("a delivery in time").expect("a consumer").expect("a channel")
}

#[tokio::test]
async fn deliveries_stay_ours_to_acknowledge_over_changes_of_the_prefetch() {
    let vhost = testkit::vhost().await;
    let connection = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    publish(&vhost, 20).await;
    let mut subscription = Subscription::open(&connection, QUEUE, "test").await.unwrap();
    let mut seen = HashSet::new();
    for prefetch in [5, 2, 20] {
        subscription.set_prefetch(Some(prefetch)).await.unwrap();
        let first = next(&mut subscription).await;
        subscription.set_prefetch(None).await.unwrap();
        assert_eq!(first.receipt.ack().await, Settled::Sent);
        assert!(seen.insert(first.body), "delivered twice");
    }
    subscription.set_prefetch(Some(20)).await.unwrap();
    while seen.len() < 20 {
        let delivery = next(&mut subscription).await;
        assert!(!delivery.redelivered, "nothing was given back");
        assert_eq!(delivery.receipt.ack().await, Settled::Sent);
        assert!(seen.insert(delivery.body), "delivered twice");
    }
    drop(subscription);
    connection.close().await;
    assert_eq!(vhost.client().await.ready(QUEUE).await, 0, "all were acknowledged");
}

/// What the broker has on its way when a consumer is cancelled, it takes back, and marks as delivered before.
#[tokio::test]
async fn a_prefetch_that_changes_under_load_gives_nothing_back() {
    const MESSAGES: usize = 4_000;
    let vhost = testkit::vhost().await;
    let connection = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    publish(&vhost, MESSAGES).await;
    let mut subscription = Subscription::open(&connection, QUEUE, "test").await.unwrap();
    let mut seen = HashSet::new();
    let mut prefetches = [64, 4, 200, 1, 16].into_iter().cycle();
    while seen.len() < MESSAGES {
        if seen.len().is_multiple_of(20) {
            subscription.set_prefetch(prefetches.next()).await.unwrap();
        }
        let delivery = next(&mut subscription).await;
        assert!(!delivery.redelivered, "given back after {} deliveries", seen.len());
        assert_eq!(delivery.receipt.ack().await, Settled::Sent);
        assert!(seen.insert(delivery.body), "delivered twice");
    }
    subscription.stop().await.unwrap();
    assert!(subscription.settled().await.unwrap().is_none(), "nothing waits");
    drop(subscription);
    connection.close().await;
    assert_eq!(vhost.client().await.ready(QUEUE).await, 0, "all were acknowledged");
}

/// Of many acknowledgements that are not done yet, the broker's end of the channel keeps some back, and forgets them with the channel.
#[tokio::test]
async fn what_was_acknowledged_stays_so_though_the_brokers_disk_is_far_behind() {
    const MESSAGES: usize = 300;
    let rabbit = testkit::Rabbit::start().await;
    let vhost = rabbit.vhost().await;
    let connection = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    publish(&vhost, MESSAGES).await;
    let mut subscription = Subscription::open(&connection, QUEUE, "test").await.unwrap();
    subscription.set_prefetch(Some(512)).await.unwrap();
    let mut deliveries = Vec::new();
    while deliveries.len() < MESSAGES {
        deliveries.push(next(&mut subscription).await);
    }
    subscription.stop().await.unwrap();
    rabbit.stall_log(true).await;
    for delivery in &deliveries {
        assert_eq!(delivery.receipt.ack().await, Settled::Sent);
    }
    {
        let mut settled = pin!(subscription.settled());
        assert!(timeout(A_MOMENT, &mut settled).await.is_err(), "answered, and nothing is written yet");
        rabbit.stall_log(false).await;
        assert!(timeout(SOON, settled).await.expect("an answer").unwrap().is_none(), "nothing waits");
    }
    connection.close().await;
    let client = vhost.client().await;
    client.publish_bare(QUEUE, b"the end").await;
    assert_eq!(client.take(QUEUE).await.unwrap().body, b"the end", "one that was acknowledged came again");
}

#[tokio::test]
async fn what_is_unsettled_goes_back_in_one_go_and_what_was_acknowledged_does_not() {
    let vhost = testkit::vhost().await;
    let connection = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    publish(&vhost, 10).await;
    let mut subscription = Subscription::open(&connection, QUEUE, "test").await.unwrap();
    subscription.set_prefetch(Some(10)).await.unwrap();
    let done = next(&mut subscription).await;
    let _held = next(&mut subscription).await;
    assert_eq!(done.receipt.ack().await, Settled::Sent);
    subscription.stop().await.unwrap();
    subscription.requeue_unsettled().await.unwrap();
    let client = vhost.client().await;
    eventually("nine are back", SOON, async || (client.ready(QUEUE).await == 9).then_some(())).await;
}

#[tokio::test]
async fn a_connection_that_the_broker_closes_ends_the_deliveries_and_makes_receipts_stale() {
    let vhost = testkit::vhost().await;
    let connection = broker(vhost.amqp_url(), "doomed").connect().await.unwrap();
    topology::ensure(&connection, &[topology::main()]).await.unwrap();
    publish(&vhost, 1).await;
    let mut subscription = Subscription::open(&connection, QUEUE, "test").await.unwrap();
    subscription.set_prefetch(Some(1)).await.unwrap();
    let held = next(&mut subscription).await;
    eventually("the broker closes it", SOON, async || (vhost.close_connections("doomed").await > 0).then_some(()))
        .await;
    let end = timeout(SOON, subscription.next()).await.expect("an end, not silence");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert!(!connection.is_open());
    assert_eq!(held.receipt.ack().await, Settled::Stale, "a stale receipt stops nobody");

    let again = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    let mut subscription = Subscription::open(&again, QUEUE, "test").await.unwrap();
    subscription.set_prefetch(Some(1)).await.unwrap();
    assert!(next(&mut subscription).await.redelivered, "it came back");
}

#[tokio::test]
async fn a_queue_deleted_under_the_consumer_ends_the_deliveries() {
    let vhost = testkit::vhost().await;
    let connection = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    let mut subscription = Subscription::open(&connection, QUEUE, "test").await.unwrap();
    subscription.set_prefetch(Some(1)).await.unwrap();
    vhost.delete_queue(QUEUE).await;
    let end = timeout(SOON, subscription.next()).await.expect("an end, not silence");
    assert!(end.is_none(), "{end:?}");
}
