//! What a relay needs, and what it says while it is missing. It makes none of it.

use std::collections::HashSet;

use outbox::schema::{self, Options};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{SCHEMA, SOON, Shop, TestRelay, message_ids};

/// Everything that there is in the database, in words.
async fn everything(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') AS what FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
         UNION ALL SELECT 'class ' || oid::regclass || ' ' || relkind::text || coalesce(relacl::text, '') FROM pg_class
             WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
         UNION ALL SELECT 'function ' || oid::regprocedure || coalesce(proacl::text, '') FROM pg_proc
             WHERE pronamespace <> 'pg_catalog'::regnamespace
         UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger
         UNION ALL SELECT 'type ' || typname FROM pg_type
         ORDER BY what",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn it_is_ready_once_the_outbox_and_each_right_is_there_and_says_until_then_what_to_do() {
    let shop = Shop::without_outbox(testkit::database().await).await;
    let nobody = Options { apps: Vec::new(), relays: Vec::new(), ..shop.options() };
    let relay = TestRelay::start(&shop.relay_url(), &[]).await;
    let (me, outbox) = (&shop.relay, "\"sluice\".outbox");

    relay.says(503, "database", "there is no schema \"sluice\" (OUTBOX_SCHEMA): run in your migrations").await;
    shop.execute("CREATE SCHEMA sluice").await;
    relay.says(503, "database", "there is no table \"sluice\".outbox").await;
    shop.execute("CREATE TABLE sluice.outbox (id uuid PRIMARY KEY, payload jsonb)").await;
    relay.says(503, "database", "is not the outbox of Sluice").await;
    let failed = sqlx::raw_sql(AssertSqlSafe(schema::sql(&nobody))).execute(shop.pool()).await.unwrap_err();
    assert!(failed.to_string().contains("does not exist"), "another table of this name is in the way: {failed}");
    shop.execute("DROP TABLE sluice.outbox").await;
    shop.migrate(&nobody).await;

    // Each line is the statement to run.
    for statement in [
        format!("GRANT USAGE ON SCHEMA \"sluice\" TO {me}"),
        format!("GRANT SELECT, DELETE, UPDATE (tracestate) ON {outbox} TO {me}"),
    ] {
        let line = relay.says(503, "database", &statement).await;
        let (_, told) = line.split_once(": ").unwrap();
        assert_eq!(told, statement);
        shop.execute(told).await;
    }
    relay.becomes_ready().await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_told_as_well_and_given_back_it_goes_on() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    let me = &shop.relay;
    for (taken, told, given) in [
        ("REVOKE DELETE ON sluice.outbox FROM", "GRANT SELECT, DELETE", "GRANT DELETE ON sluice.outbox TO"),
        ("REVOKE SELECT ON sluice.outbox FROM", "GRANT SELECT, DELETE", "GRANT SELECT ON sluice.outbox TO"),
        (
            "REVOKE UPDATE (tracestate) ON sluice.outbox FROM",
            "GRANT SELECT, DELETE",
            "GRANT UPDATE (id) ON sluice.outbox TO",
        ),
        ("REVOKE USAGE ON SCHEMA sluice FROM", "GRANT USAGE ON SCHEMA", "GRANT USAGE ON SCHEMA sluice TO"),
        (
            "REVOKE EXECUTE ON FUNCTION sluice.outbox_version() FROM PUBLIC,",
            "GRANT EXECUTE ON FUNCTION \"sluice\".outbox_version() TO",
            "GRANT EXECUTE ON FUNCTION sluice.outbox_version() TO",
        ),
    ] {
        shop.execute(&format!("{taken} {me}")).await;
        shop.orders(1).await;
        relay.says(503, "database", told).await;
        shop.execute(&format!("{given} {me}")).await;
        relay.becomes_ready().await;
        shop.all_relayed(SOON).await;
    }
    let ids = message_ids(&vhost.client().await).await;
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 5, "each task");
    // It is noticed within two seconds. Until then, what cannot be deleted is published with each try.
    assert!(ids.len() <= 5 + 8, "{} copies of 5 tasks", ids.len());
}

#[tokio::test]
async fn row_level_security_and_an_old_version_are_named() {
    let shop = Shop::open().await;
    shop.execute("ALTER TABLE sluice.outbox ENABLE ROW LEVEL SECURITY").await;
    let relay = TestRelay::start(&shop.relay_url(), &[]).await;
    relay.says(503, "database", "row-level security hides rows of \"sluice\".outbox").await;
    shop.execute("ALTER TABLE sluice.outbox DISABLE ROW LEVEL SECURITY").await;
    relay.becomes_ready().await;

    let version =
        |n: i32| format!("CREATE OR REPLACE FUNCTION sluice.outbox_version() RETURNS int LANGUAGE sql AS 'SELECT {n}'");
    shop.execute(&version(0)).await;
    relay.says(503, "database", "has version 0, and this relay needs 1").await;
    // A newer one only adds: the relay before goes on.
    shop.execute(&version(2)).await;
    relay.becomes_ready().await;
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_named() {
    let shop = Shop::open().await;
    shop.execute(&format!("ALTER ROLE {} SET default_transaction_read_only = on", shop.relay)).await;
    let relay = TestRelay::start(&shop.relay_url(), &[]).await;
    relay.says(503, "database", "read-only").await;
}

#[tokio::test]
async fn nothing_in_the_database_is_other_than_before_but_for_the_tasks_that_are_relayed() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let before = everything(shop.pool()).await;
    let mut relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    shop.orders(100).await;
    shop.all_relayed(SOON).await;
    relay.stop().await.unwrap();
    assert_eq!(everything(shop.pool()).await, before);
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(shop.pool()).await.unwrap();
    assert_eq!(orders, 100);
}

#[tokio::test]
async fn the_sql_may_run_again_and_again_and_in_any_schema() {
    let (shop, vhost) = (Shop::without_outbox(testkit::database().await).await, testkit::vhost().await);
    let odd = "Sluice's \"Mails\"; --";
    let options = Options { schema: odd.parse().unwrap(), ..shop.options() };
    for schema in [SCHEMA, "public", odd] {
        let options = Options { schema: schema.parse().unwrap(), ..options.clone() };
        for _ in 0..3 {
            shop.migrate(&options).await;
        }
    }
    let quoted = options.schema.quoted();
    let asked = format!("SELECT {quoted}.enqueue_mail('order.paid', 'ada@example.com')");
    sqlx::raw_sql(AssertSqlSafe(asked)).execute(&shop.as_app().await).await.unwrap();
    shop.migrate(&options).await;
    let vars = [("AMQP_URL", vhost.amqp_url()), ("OUTBOX_SCHEMA", odd)];
    let _relay = TestRelay::up(&shop.relay_url(), &vars).await;
    crate::support::queued(&vhost.client().await, 1).await;
}
