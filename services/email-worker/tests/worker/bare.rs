//! Bare tasks, of which nothing says whether two are the same: as many mails as were published.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use contract::{TaskId, queue};
use futures_util::StreamExt as _;
use testkit::{Script, TcpProxy, eventually};

use crate::helpers::{PATIENCE, World, body};

const PEOPLE: usize = 1_000;
const ROUNDS: usize = 3;

/// The same content, delivered again, long after an equal task was sent: which of the two the broker has again, nobody
/// can tell.
#[tokio::test]
async fn a_bare_task_that_is_delivered_again_is_mailed_though_one_with_its_content_was() {
    let world = World::new().await;
    world.queue_exists().await;
    let content = body("ada@example.com");
    let sent = sqlx::query("INSERT INTO ledger (id, owner, until, sent_at) VALUES ($1, $1, now(), now())");
    sent.bind(TaskId::from_content(&content).as_uuid()).execute(world.database.pool()).await.unwrap();
    world.client.publish_bare(queue::EMAIL, &content).await;
    let taker = world.vhost.client().await;
    let got = taker.channel().basic_get(queue::EMAIL.into(), testkit::lapin::options::BasicGetOptions::default()).await;
    assert!(got.unwrap().is_some());
    taker.close().await;
    let worker = world.worker().await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.marked(2).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 1);
}

#[tokio::test]
async fn as_many_bare_tasks_as_are_published_are_mailed_while_prefetches_change_and_workers_come_and_drain() {
    let world = World::new().await;
    world.queue_exists().await;
    let mut worker = world.worker_with(&[("SENDING_SLOTS", "8"), ("SEND_TIMEOUT", "20s")]).await;
    for round in 1..=ROUNDS {
        let (published, next) = tokio::join!(publish_everyone(&world), async {
            // Faster and slower: the prefetch follows.
            for delay in [0, 40, 0] {
                world.smtp.set_script(Script::healthy().delay(Duration::from_millis(delay)));
                let enough = world.smtp.mails().len() + PEOPLE / 5;
                world.smtp.wait_for_count(enough, PATIENCE).await;
            }
            world.worker_with(&[("SENDING_SLOTS", "4"), ("SEND_TIMEOUT", "20s")]).await
        });
        let () = published;
        // Drains in the midst of its work, and another one goes on.
        std::mem::replace(&mut worker, next).stop().await;
        world.smtp.wait_for_count(round * PEOPLE - PEOPLE / 10, 2 * PATIENCE).await;
    }
    world.smtp.wait_for_count(ROUNDS * PEOPLE, 2 * PATIENCE).await;
    world.marked(i64::try_from(ROUNDS * PEOPLE).unwrap()).await;
    world.ends_clean(worker).await;
    let wrong: BTreeMap<String, usize> = mailed(&world).into_iter().filter(|(_, mails)| *mails != ROUNDS).collect();
    assert!(wrong.is_empty(), "not mailed {ROUNDS} times, though nothing crashed: {wrong:?}");
    assert_eq!(mailed(&world).len(), PEOPLE);
}

#[tokio::test]
async fn no_bare_task_is_lost_when_connections_are() {
    let world = World::new().await;
    world.queue_exists().await;
    let broker: SocketAddr = address(world.vhost.amqp_url()).parse().unwrap();
    let proxy = TcpProxy::start(broker).await;
    let url = world.vhost.amqp_url().replace(&broker.to_string(), &proxy.addr().to_string());
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(10)));
    let variables = [("AMQP_URL", url.as_str()), ("SENDING_SLOTS", "8")];
    let (one, other) = (world.worker_with(&variables).await, world.worker_with(&variables).await);
    for round in 1..=ROUNDS {
        tokio::join!(publish_everyone(&world), async {
            for part in 1..=2 {
                world.smtp.wait_for_count((round - 1) * PEOPLE + part * PEOPLE / 3, 2 * PATIENCE).await;
                proxy.cut_connections();
            }
        });
    }
    let fewest = || (mailed(&world).len() == PEOPLE).then(|| mailed(&world).into_values().min()).flatten();
    eventually("everyone has as many mails as tasks", 3 * PATIENCE, async || fewest().filter(|n| *n >= ROUNDS)).await;
    other.stop().await;
    one.stop().await;
    assert_eq!(world.waiting(queue::DEAD).await, 0, "put aside");
}

/// One task for each, with the same content in each round.
async fn publish_everyone(world: &World) {
    let publishing = futures_util::stream::iter(0..PEOPLE).for_each_concurrent(100, async |n| {
        world.client.publish_bare(queue::EMAIL, &body(&format!("user-{n}@example.com"))).await;
    });
    publishing.await;
}

/// How many mails each has.
fn mailed(world: &World) -> BTreeMap<String, usize> {
    let mut mails = BTreeMap::new();
    for mail in world.smtp.mails() {
        *mails.entry(mail.to.concat()).or_default() += 1;
    }
    mails
}

/// `host:port` of an AMQP URL.
fn address(url: &str) -> &str {
    url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("a URL with user, host and port")
}
