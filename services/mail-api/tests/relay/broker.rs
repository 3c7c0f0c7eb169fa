//! The broker is away, short of memory, or has another queue.

use std::collections::HashSet;

use contract::queue;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Rabbit, TcpProxy, eventually};

use crate::support::{SOON, Shop, TestRelay, message_ids, queued};

#[tokio::test]
async fn tasks_wait_in_the_outbox_while_the_broker_is_away_and_none_is_lost() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let upstream = vhost.amqp_url().split('@').nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let proxy = TcpProxy::start(upstream).await;
    let url = vhost.amqp_url().replace(&upstream.to_string(), &proxy.addr().to_string());
    let relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", &url), ("CONFIRM_TIMEOUT", "1s")]).await;

    proxy.cut();
    shop.orders(50).await;
    relay.says(200, "broker", "").await;
    assert_eq!(shop.waiting().await, 50, "the tasks are safe");
    proxy.heal();
    shop.all_relayed(SOON).await;

    // A network that swallows everything is worse than one that refuses.
    proxy.blackhole();
    shop.orders(50).await;
    relay.says(200, "broker", "").await;
    proxy.cut_connections();
    proxy.heal();
    shop.all_relayed(SOON).await;
    let ids = message_ids(&vhost.client().await).await;
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 100, "each of them");
}

#[tokio::test]
async fn tasks_wait_while_the_broker_blocks_publishers() {
    let (shop, rabbit) = (Shop::open().await, Rabbit::start().await);
    let vars = [("AMQP_URL", rabbit.amqp_url()), ("CONFIRM_TIMEOUT", "1s")];
    let relay = TestRelay::up(&shop.relay_url(), &vars).await;
    rabbit.memory_alarm(true).await;
    shop.orders(1).await;
    relay.says(200, "broker", "").await;
    assert_eq!(shop.waiting().await, 1, "the task is safe");
    rabbit.memory_alarm(false).await;
    shop.all_relayed(SOON).await;
    let ids: HashSet<_> = message_ids(&rabbit.client().await).await.into_iter().collect();
    assert_eq!(ids.len(), 1, "one task, however often it arrives");
}

#[tokio::test]
async fn a_task_for_which_there_is_no_queue_stays_until_there_is_one() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let _relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    vhost.delete_queue(queue::EMAIL).await;
    shop.orders(1).await;
    eventually("the relay declares the queue", SOON, async || vhost.queue_info(queue::EMAIL).await).await;
    shop.all_relayed(SOON).await;
    queued(&vhost.client().await, 1).await;
}

#[tokio::test]
async fn nothing_is_relayed_into_a_queue_with_other_arguments() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let client = vhost.client().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    client.declare(queue::EMAIL, arguments).await.unwrap();
    let relay = TestRelay::start(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    shop.orders(1).await;
    let reason = relay.says(200, "broker", queue::EMAIL).await;
    assert!(reason.contains("x-queue-type"), "{reason}");
    assert_eq!((client.ready(queue::EMAIL).await, shop.waiting().await), (0, 1), "the task is safe");
}
