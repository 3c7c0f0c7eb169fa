//! A pooler between the service and its database.

use std::time::Duration;

use futures_util::future::join_all;
use testkit::{Database, PgBouncer, Pooling, Service};
use user_api::db::MIGRATOR;

use crate::support::{Answer, somebody};

const SOON: Duration = Duration::from_secs(30);

async fn migrated() -> Database {
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    database
}

fn variables(database: &str) -> Vec<(&'static str, String)> {
    [
        ("DATABASE_URL", database),
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f"),
        ("HASH_COST", "cheap"),
        ("RATE_LIMIT", "0"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

#[tokio::test]
async fn a_pooler_that_mixes_up_statements_is_refused_at_start_with_one_line() {
    let database = migrated().await;
    let pooler = PgBouncer::start(&database, Pooling::Transaction, &[]).await;
    for arguments in [[].as_slice(), &["migrate"]] {
        let service = Service::spawn_with("user-api", arguments, &variables(pooler.url()));
        let status = service.exited(SOON).await;
        assert_eq!(status.code(), Some(78), "{arguments:?}");
        let line = service.wait_for_log("error: the database of", SOON).await;
        assert!(line.contains("DATABASE_URL") && line.contains("max_prepared_statements"), "{line}");
        let errors = service.log_lines().iter().filter(|line| line.starts_with("error:")).count();
        assert_eq!(errors, 1, "{:#?}", service.log_lines());
    }
}

#[tokio::test]
async fn a_pooler_in_session_mode_makes_no_difference() {
    let database = migrated().await;
    let pooler = PgBouncer::start(&database, Pooling::Session, &[]).await;
    let service = Service::spawn("user-api", &variables(pooler.url()));
    service.ready().await;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/users", service.base_url());
    let register = |n: usize| Answer::read(client.post(&url).json(&somebody(&format!("pooled{n}"))));
    for answer in join_all((0..50).map(register)).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert!(service.terminate().await.success());
}
