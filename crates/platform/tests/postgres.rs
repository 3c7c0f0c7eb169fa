//! The pool and migrations on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use platform::config::Secret;
use platform::postgres::{UnfitPooler, Unproven, check_pooler, is_unavailable, is_unfit_pooler, migrate, pool};
use sqlx::PgPool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use testkit::{PgBouncer, Pooling, Postgres, eventually};

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
        // One attempt at least comes before the server does, and is hung up on.
        let stand_in = tokio::net::TcpListener::bind(("127.0.0.1", server.port())).await.unwrap();
        drop(stand_in.accept().await.unwrap());
        drop(stand_in);
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

#[tokio::test]
async fn a_pooler_that_mixes_up_statements_is_told_from_one_that_does_not_and_from_none() {
    let database = testkit::database().await;
    let (transaction, session) = tokio::join!(
        PgBouncer::start(&database, Pooling::Transaction, &[]),
        PgBouncer::start(&database, Pooling::Session, &[]),
    );
    for again in 0..3 {
        check_pooler(&connect(database.url())).await.expect("there is no pooler");
        check_pooler(&connect(session.url())).await.expect("a pooler in session mode");
        let mixed = check_pooler(&connect(transaction.url())).await;
        assert!(matches!(mixed, Err(Unproven::Unfit(UnfitPooler::MixesStatements(_)))), "{mixed:?} at look {again}");
    }
}

#[tokio::test]
async fn a_pooler_that_refuses_what_we_say_at_first_is_named_with_what_to_set() {
    let database = testkit::database().await;
    let strict = [("ignore_startup_parameters", "extra_float_digits")];
    let pooler = PgBouncer::start(&database, Pooling::Session, &strict).await;
    let error = migrate(&connect(pooler.url()), &migrator(&[])).await.unwrap_err();
    assert!(is_unfit_pooler(&error) && format!("{error:#}").contains("ignore_startup_parameters"), "{error:#}");
}
