//! Many tasks, several replicas, and somebody who looks at an old state of the database for long.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use contract::queue;
use sqlx::Connection as _;

use crate::support::{SOON, Shop, TestRelay, message_ids, queued};

#[tokio::test]
async fn three_replicas_relay_a_backlog_of_50_000_each_task_once() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    shop.orders(50_000).await;
    let vars = [("AMQP_URL", vhost.amqp_url())];
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(TestRelay::start(&shop.relay_url(), &vars).await);
    }
    shop.all_relayed(SOON * 4).await;
    let ids = message_ids(&vhost.client().await).await;
    assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (50_000, 50_000), "each task once");
    for relay in &mut relays {
        relay.stop().await.expect("an orderly end");
    }
}

#[tokio::test]
async fn a_snapshot_that_stays_open_does_not_stop_it() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let _relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url()), ("RELAY_BATCH", "200")]).await;
    let mut report = sqlx::PgConnection::connect(shop.database.url()).await.unwrap();
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut report).await.unwrap();
    let seen = "SELECT count(*) FROM sluice.outbox";
    let before: i64 = sqlx::query_scalar(seen).fetch_one(&mut report).await.unwrap();

    let mut took = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        shop.orders(5_000).await;
        shop.all_relayed(SOON).await;
        took.push(began.elapsed());
        // What is deleted stays, as long as somebody may still look at it.
        shop.execute("VACUUM sluice.outbox").await;
    }
    let dead: i64 =
        sqlx::query_scalar("SELECT pg_relation_size('sluice.outbox')").fetch_one(shop.pool()).await.unwrap();
    assert!(dead > 50_000 * 100, "the dead rows are still there: {dead} bytes");
    let began = Instant::now();
    shop.orders(1).await;
    shop.all_relayed(SOON).await;
    assert!(began.elapsed() < Duration::from_secs(5), "one task among 50,000 dead ones took {:?}", began.elapsed());
    queued(&vhost.client().await, 50_001).await;
    let after: i64 = sqlx::query_scalar(seen).fetch_one(&mut report).await.unwrap();
    assert_eq!(after, before, "it was open all the time");
    let (first, last) = (took[1], took[9]);
    assert!(last < first * 5 + Duration::from_secs(2), "5,000 tasks took {first:?} at first, and {last:?} in the end");
}

#[tokio::test]
async fn a_commit_that_comes_long_after_its_id_is_found() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let _relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    let app = shop.as_app().await;
    let mut late = app.begin().await.unwrap();
    let asked = "SELECT sluice.enqueue_mail('order.paid', 'late@example.com')";
    sqlx::raw_sql(asked).execute(&mut *late).await.unwrap();
    let client = vhost.client().await;
    for sent in 1..=5 {
        shop.orders(1).await;
        queued(&client, sent).await;
        // Ids are made of the time: those that are relayed must be well beyond the late one's.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    late.commit().await.unwrap();
    queued(&client, 6).await;
    // And what has an id of its application's own, in whatever order.
    for id in ["ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"] {
        let asked = format!("SELECT sluice.enqueue_mail('order.paid', 'own@example.com', id => '{id}')");
        sqlx::raw_sql(sqlx::AssertSqlSafe(asked)).execute(&app).await.unwrap();
    }
    queued(&client, 8).await;
}

#[tokio::test]
async fn what_was_committed_last_is_relayed_before_the_replica_ends() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let vars = [("AMQP_URL", vhost.amqp_url()), ("RELAY_POLL_INTERVAL", "60s")];
    let mut relay = TestRelay::up(&shop.relay_url(), &vars).await;
    shop.orders(3).await;
    relay.stop().await.unwrap();
    assert_eq!((shop.waiting().await, vhost.client().await.ready(queue::EMAIL).await), (0, 3));
}
