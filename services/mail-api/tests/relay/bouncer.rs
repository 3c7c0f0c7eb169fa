//! PgBouncer before the application's database.

use std::collections::HashSet;

use sqlx::Connection as _;
use testkit::{PgBouncer, Pooling, Service};

use crate::support::{SOON, Shop, TestRelay, message_ids};

/// As few sessions as there can be, so that all that work share them: what one left behind, another would find.
const CROWDED: [(&str, &str); 2] = [("default_pool_size", "3"), ("query_wait_timeout", "20")];

#[tokio::test]
async fn over_a_pooler_in_transaction_mode_that_keeps_no_statements_apart_each_task_is_relayed_once() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let pooler = PgBouncer::start(&shop.database, Pooling::Transaction, &CROWDED).await;
    let vars = [("AMQP_URL", vhost.amqp_url()), ("RELAY_BATCH", "20")];
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(TestRelay::up(pooler.url(), &vars).await);
    }
    // The application's own statements go through the same sessions; simple ones, as such a pooler wants them.
    let app = async {
        let mut connection = sqlx::PgConnection::connect(pooler.url()).await.unwrap();
        for n in 0..200 {
            let order = format!(
                "BEGIN; INSERT INTO orders (customer) VALUES ('customer-{n}');
                 SELECT sluice.enqueue_mail('order.paid', 'customer-{n}@example.com'); COMMIT"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(order)).execute(&mut connection).await.unwrap();
        }
    };
    tokio::join!(shop.orders(3_000), app);
    shop.all_relayed(SOON).await;
    let ids = message_ids(&vhost.client().await).await;
    assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (3_200, 3_200), "each task once");
    for relay in &relays {
        assert_eq!(relay.ready().await.0, 200, "{:?}", relay.ready().await.1);
    }
}

#[tokio::test]
async fn a_pooler_in_session_mode_makes_no_difference() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let pooler = PgBouncer::start(&shop.database, Pooling::Session, &[]).await;
    let _relay = TestRelay::up(pooler.url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    shop.orders(500).await;
    shop.all_relayed(SOON).await;
    assert_eq!(message_ids(&vhost.client().await).await.len(), 500);
}

#[tokio::test]
async fn a_pooler_that_refuses_what_we_say_at_first_ends_the_relay_with_what_to_set() {
    let shop = Shop::open().await;
    let strict = [("ignore_startup_parameters", "extra_float_digits")];
    let pooler = PgBouncer::start(&shop.database, Pooling::Transaction, &strict).await;
    let vars =
        [("DATABASE_URL", pooler.url().to_owned()), ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned())];
    let service = Service::spawn_with("mail-api", &["relay"], &vars);
    let (code, line) = service.failed(SOON).await;
    assert_eq!(code, Some(78), "{line}");
    assert!(line.contains("DATABASE_URL") && line.contains("ignore_startup_parameters"), "{line}");
}
