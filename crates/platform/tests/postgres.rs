//! The pool and migrations on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use platform::config::Secret;
use platform::postgres::{is_unavailable, migrate, pool};
use sqlx::PgPool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use testkit::{Postgres, eventually};

fn connect(url: &str) -> PgPool {
    pool(&Secret::from(url.to_owned()), 4, "platform-test").unwrap()
}

fn migrator(steps: &[(i64, &'static str)]) -> Migrator {
    let migration = |(version, sql): &(i64, &'static str)| {
        Migration::new(*version, "step".into(), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    };
    Migrator::with_migrations(steps.iter().map(migration).collect())
}

async fn setting(pool: &PgPool, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn connections_have_a_name_and_a_limit_on_statements() {
    let database = testkit::database().await;
    let pool = connect(database.url());
    assert_eq!(setting(&pool, "application_name").await, "platform-test");
    assert_eq!(setting(&pool, "statement_timeout").await, "10s");
}

#[tokio::test]
async fn migrations_run_once_however_many_start_them_and_leave_newer_ones_alone() {
    let database = testkit::database().await;
    let both = migrator(&[(1, "CREATE TABLE a (n int)"), (2, "INSERT INTO a VALUES (1)")]);
    let pools: Vec<PgPool> = (0..4).map(|_| connect(database.url())).collect();
    let (a, b, c, d) = tokio::join!(
        migrate(&pools[0], &both),
        migrate(&pools[1], &both),
        migrate(&pools[2], &both),
        migrate(&pools[3], &both)
    );
    for done in [a, b, c, d] {
        done.expect("four replicas that start at once all get on");
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM a").fetch_one(database.pool()).await.unwrap();
    assert_eq!(rows, 1, "each migration runs once");

    migrate(&pools[0], &migrator(&[(1, "CREATE TABLE a (n int)")])).await.expect("an older binary starts");
    let changed = migrate(&pools[0], &migrator(&[(1, "CREATE TABLE b (n int)")])).await.unwrap_err();
    assert!(format!("{changed:#}").contains("migration 1 was changed"), "{changed:#}");
    assert_eq!(setting(&pools[0], "statement_timeout").await, "10s", "what a migration may is not left behind");
}

#[tokio::test]
async fn the_database_may_come_up_later_and_go_away_for_a_while() {
    let server = Postgres::start().await;
    let pool = connect(&server.url());
    server.kill();
    let none = migrator(&[]);
    let (migrated, ()) = tokio::join!(migrate(&pool, &none), async {
        // Late enough to be missed by the first attempts, whose connections are refused.
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.restart().await;
    });
    migrated.expect("the migration waits for the database");

    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    server.kill();
    let error = sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    server.restart().await;
    eventually("the pool works again", Duration::from_secs(10), async || {
        sqlx::query("SELECT 1").execute(&pool).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_wrong_query_is_not_taken_for_a_database_that_is_away() {
    let database = testkit::database().await;
    let error = sqlx::query("SELECT * FROM nothing").execute(&connect(database.url())).await.unwrap_err();
    assert!(!is_unavailable(&error), "{error:?}");
}
