//! The application's database fails over, and replicas of the relay die.

use std::collections::HashSet;
use std::time::Duration;

use contract::queue;
use testkit::{Postgres, Service, eventually};

use crate::support::{SOON, Shop, TestRelay, message_ids, queued};

/// The lock that a test holds to keep relays' DELETE from happening.
const GATE: i64 = 4711;

fn variables(shop: &Shop, broker: &str, batch: &str) -> Vec<(&'static str, String)> {
    [
        ("DATABASE_URL", shop.relay_url().as_str()),
        ("AMQP_URL", broker),
        ("RELAY_BATCH", batch),
        ("RELAY_POLL_INTERVAL", "100ms"),
        ("CONFIRM_TIMEOUT", "2s"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// How many there are of them, and how many of these are copies.
fn counted(ids: &[String]) -> (usize, usize) {
    let unique = ids.iter().collect::<HashSet<_>>().len();
    (unique, ids.len() - unique)
}

#[tokio::test]
async fn a_relay_killed_between_the_confirm_and_the_commit_repeats_that_batch_and_loses_nothing() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    shop.execute(&format!(
        "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN OLD; END $$;
         CREATE TRIGGER gate BEFORE DELETE ON sluice.outbox FOR EACH ROW EXECUTE FUNCTION gate()"
    ))
    .await;
    let mut gate = shop.pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(GATE).execute(&mut *gate).await.unwrap();
    shop.orders(500).await;
    let doomed = Service::spawn_with("mail-api", &["relay"], &variables(&shop, vhost.amqp_url(), "100"));
    eventually("the relay declares the queue", SOON, async || vhost.queue_info(queue::EMAIL).await).await;
    let client = vhost.client().await;
    queued(&client, 100).await;
    doomed.kill();
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(GATE).execute(&mut *gate).await.unwrap();
    assert_eq!(shop.waiting().await, 500, "the rows outlive their relay");

    let other = Service::spawn_with("mail-api", &["relay"], &variables(&shop, vhost.amqp_url(), "100"));
    shop.all_relayed(SOON).await;
    assert_eq!(counted(&message_ids(&client).await), (500, 100));
    assert!(other.terminate().await.success());
}

#[tokio::test]
async fn relays_killed_again_and_again_under_load_repeat_at_most_a_batch_each_time() {
    const KILLS: u16 = 6;
    const BATCH: usize = 50;
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let relay = Service::spawn_with("mail-api", &["relay"], &variables(&shop, vhost.amqp_url(), &BATCH.to_string()));
    relay.ready().await;
    for kill in 0..KILLS {
        shop.orders(2_000).await;
        tokio::time::sleep(Duration::from_millis(20 + 37 * u64::from(kill))).await;
        relay.restart();
    }
    shop.all_relayed(SOON).await;
    let (unique, copies) = counted(&message_ids(&vhost.client().await).await);
    assert_eq!(unique, 2_000 * usize::from(KILLS), "none is lost");
    assert!(copies <= BATCH * usize::from(KILLS), "{copies} copies");
}

#[tokio::test]
async fn a_frozen_relay_gives_its_rows_back() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let frozen = Service::spawn_with("mail-api", &["relay"], &variables(&shop, vhost.amqp_url(), "100"));
    frozen.ready().await;
    frozen.pause();
    shop.orders(300).await;
    let _other = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    shop.all_relayed(SOON).await;
    frozen.resume();
    assert_eq!(counted(&message_ids(&vhost.client().await).await).0, 300);
}

#[tokio::test]
async fn a_database_that_is_killed_and_comes_back_goes_on_where_it_was() {
    const BATCH: usize = 100;
    let server = Postgres::start().await;
    let (shop, vhost) = (Shop::on(&server).await, testkit::vhost().await);
    let vars = [("AMQP_URL", vhost.amqp_url()), ("RELAY_BATCH", "100")];
    let relay = TestRelay::up(&shop.relay_url(), &vars).await;
    let other = TestRelay::up(&shop.relay_url(), &vars).await;
    let client = vhost.client().await;
    let mut committed = 0;
    for _ in 0..3 {
        shop.orders(10_000).await;
        committed += 10_000;
        queued(&client, committed - 9_000).await;
        server.kill();
        relay.says(503, "database", "").await;
        server.restart().await;
        // The test's own pool finds its connections dead, one after the other.
        eventually("the test has its database again", SOON, async || {
            sqlx::query("SELECT 1").execute(shop.pool()).await.ok()
        })
        .await;
        shop.all_relayed(SOON).await;
        relay.becomes_ready().await;
        other.becomes_ready().await;
    }
    let (unique, copies) = counted(&message_ids(&client).await);
    assert_eq!(unique, committed as usize, "none is lost");
    assert!(copies <= 2 * 3 * BATCH, "{copies} copies: a batch for each relay and each fall at most");
}
