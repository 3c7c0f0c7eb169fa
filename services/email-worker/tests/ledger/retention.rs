//! The ledger forgets in time.

use std::time::Duration;

use contract::TaskId;
use email_worker::ledger::retention::{self, RetentionOptions};
use sqlx::PgPool;
use testkit::eventually;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{Home, Worker};

const DAY: Duration = Duration::from_secs(86_400);

fn options() -> RetentionOptions {
    RetentionOptions { batch: 100, pause: Duration::ZERO, ..RetentionOptions::new(7 * DAY) }
}

async fn fill(pool: &PgPool, rows: i32, age: &str, until: &str) {
    sqlx::query(
        "INSERT INTO ledger (id, owner, until, sent_at, first_seen)
         SELECT gen_random_uuid(), gen_random_uuid(), $3::timestamptz, now(), now() - $2::interval
         FROM generate_series(1, $1)",
    )
    .bind(rows)
    .bind(age)
    .bind(until)
    .execute(pool)
    .await
    .unwrap();
}

async fn rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_young_or_claimed_stays() {
    let pool = Home::shared().await;
    fill(&pool, 350, "8 days", "yesterday").await;
    fill(&pool, 20, "6 days", "yesterday").await;
    fill(&pool, 3, "8 days", "tomorrow").await;
    assert_eq!(retention::purge(&pool, &options()).await.unwrap(), 350);
    assert_eq!(rows(&pool).await, 23);
}

#[tokio::test]
async fn one_worker_of_the_fleet_purges_at_a_time() {
    let pool = Home::shared().await;
    fill(&pool, 500, "8 days", "yesterday").await;
    let mut another = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(retention::TURN).execute(&mut *another).await.unwrap();
    assert_eq!(retention::purge(&pool, &options()).await.unwrap(), 0, "it is another's turn");
    another.rollback().await.unwrap();
    let (a, b) = (options(), options());
    let (a, b) = tokio::join!(retention::purge(&pool, &a), retention::purge(&pool, &b));
    assert_eq!(a.unwrap() + b.unwrap(), 500);
}

#[tokio::test]
async fn claims_do_not_wait_for_a_purge() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    fill(&pool, 20_000, "8 days", "yesterday").await;
    let purge = tokio::spawn({
        let pool = pool.clone();
        async move { retention::purge(&pool, &RetentionOptions { batch: 1_000, ..options() }).await }
    });
    let mut longest = Duration::ZERO;
    while !purge.is_finished() {
        let asked = Instant::now();
        let id = TaskId::new();
        worker.ledger.claim(id).await.unwrap();
        worker.ledger.mark_sent(id).await.unwrap();
        longest = longest.max(asked.elapsed());
    }
    assert_eq!(purge.await.unwrap().unwrap(), 20_000);
    assert!(longest < Duration::from_millis(500), "a claim and its mark took {longest:?} during the purge");
}

#[tokio::test]
async fn the_purge_runs_by_itself_and_ends_with_its_token() {
    let pool = Home::shared().await;
    fill(&pool, 50, "8 days", "yesterday").await;
    let token = CancellationToken::new();
    let options = RetentionOptions { every: Duration::from_millis(50), ..options() };
    let purging = tokio::spawn(retention::run(pool.clone(), options, token.clone()));
    let purged = async || (rows(&pool).await == 0).then_some(());
    eventually("all is purged", Duration::from_secs(10), purged).await;
    token.cancel();
    tokio::time::timeout(Duration::from_secs(2), purging).await.expect("it ends with its token").unwrap();
}
