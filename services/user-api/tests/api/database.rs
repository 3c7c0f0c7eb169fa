//! The database goes away and comes back.

use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use testkit::{Postgres, eventually};
use tokio::sync::watch;
use user_api::db::MIGRATOR;

use crate::support::{TestApp, somebody};

const SOON: Duration = Duration::from_secs(20);

async fn over(server: &Postgres) -> (testkit::Database, TestApp) {
    let database = server.database().await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    let app = TestApp::over(database.url(), &[("SHUTDOWN_GRACE", "5s")]).await;
    (database, app)
}

async fn becomes(app: &TestApp, status: u16, what: &str) {
    eventually(what, SOON, async || (app.ready().await.status == status).then_some(())).await;
}

async fn is_up(app: &TestApp) {
    let up = async || (app.ready().await.json()["components"]["database"]["status"] == "up").then_some(());
    eventually("the database is up again by itself", SOON, up).await;
}

/// What `/readyz` says of the database, with 200: the pod stays in the Service.
async fn is_down(app: &TestApp, why: &str) {
    let what = format!("ready, and the database is down: {why}");
    let told = async || {
        let answer = app.ready().await;
        let database = answer.json()["components"]["database"].clone();
        let reason = database["reason"].as_str().unwrap_or_default();
        (answer.status == 200 && database["status"] == "down" && reason.contains(why)).then_some(())
    };
    eventually(&what, SOON, told).await;
}

#[tokio::test]
async fn while_the_database_is_dead_answers_are_503_and_afterwards_201() {
    let server = Postgres::start().await;
    let (_database, app) = over(&server).await;
    becomes(&app, 200, "ready with the database there").await;
    // Fill the pool: every one of these connections dies.
    let names: Vec<_> = (0..8).map(|n| somebody(&format!("before{n}"))).collect();
    for answer in futures_util::future::join_all(names.iter().map(|body| app.register(body))).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    server.kill();
    for n in 0..10 {
        let asked = Instant::now();
        let answer = app.register(&somebody(&format!("during{n}"))).await;
        assert_eq!(answer.problem(503), "database-unavailable");
        assert!(asked.elapsed() < Duration::from_secs(6), "answered after {:?}", asked.elapsed());
    }
    is_down(&app, "refused").await;
    let asked = Instant::now();
    assert_eq!(app.register(&somebody("known")).await.problem(503), "database-unavailable");
    assert!(asked.elapsed() < Duration::from_millis(500), "it is known to be away: {:?}", asked.elapsed());

    server.restart().await;
    is_up(&app).await;
    for n in 0..12 {
        let answer = app.register(&somebody(&format!("after{n}"))).await;
        assert_eq!(answer.status, 201, "right after it is back: {answer:?}");
    }
}

#[tokio::test]
async fn a_database_that_hangs_is_one_that_is_away() {
    let server = Postgres::start().await;
    let (_database, app) = over(&server).await;
    becomes(&app, 200, "ready with the database there").await;
    assert_eq!(app.register(&somebody("before")).await.status, 201);
    server.pause();
    let asked = Instant::now();
    assert_eq!(app.register(&somebody("during")).await.problem(503), "database-unavailable");
    assert!(asked.elapsed() < Duration::from_secs(8), "answered after {:?}", asked.elapsed());
    is_down(&app, "no answer").await;
    server.resume();
    is_up(&app).await;
    assert_eq!(app.register(&somebody("after")).await.status, 201);
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_named_and_the_broker_is_not_blamed() {
    let vhost = testkit::vhost().await;
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    let app = TestApp::over(database.url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    becomes(&app, 200, "ready with the database there").await;
    let name = database.url().rsplit_once('/').unwrap().1;
    let closed = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    // Sessions keep what they began with.
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'user-api'";
    sqlx::raw_sql(sqlx::AssertSqlSafe(closed)).execute(database.pool()).await.unwrap();
    sqlx::raw_sql(ended).execute(database.pool()).await.unwrap();
    is_down(&app, "read-only").await;
    assert_eq!(app.register(&somebody("ada")).await.problem(503), "database-unavailable");
    let broker = async || app.ready().await.json()["components"]["broker"]["status"].as_str().map(str::to_owned);
    eventually("the broker is up", SOON, async || broker().await.filter(|status| status == "up")).await;
    let open = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    sqlx::raw_sql(sqlx::AssertSqlSafe(open)).execute(database.pool()).await.unwrap();
    is_up(&app).await;
    assert_eq!(app.register(&somebody("ada")).await.status, 201);
}

#[tokio::test]
async fn it_starts_without_its_database_and_says_what_is_missing() {
    let server = Postgres::start().await;
    let database = server.database().await;
    server.kill();
    let app = TestApp::over(database.url(), &[]).await;
    becomes(&app, 503, "not ready without the database").await;
    assert_eq!(app.register(&somebody("ada")).await.problem(503), "database-unavailable");
    server.restart().await;
    let told = async || app.ready().await.body.contains("user-api migrate").then_some(());
    eventually("says that the tables are missing", SOON, told).await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    becomes(&app, 200, "ready once migrated").await;
    assert_eq!(app.register(&somebody("ada")).await.status, 201);
}

#[tokio::test]
async fn it_is_not_ready_before_the_last_migration() {
    let database = testkit::database().await;
    let all: Vec<_> = MIGRATOR.iter().cloned().collect();
    let older = Migrator::with_migrations(all[..all.len() - 1].to_vec());
    platform::postgres::migrate(database.pool(), &older).await.unwrap();
    let app = TestApp::over(database.url(), &[]).await;
    let told = async || app.ready().await.body.contains("user-api migrate").then_some(());
    eventually("says that a migration is missing: does db/probe.rs look for the last one?", SOON, told).await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    becomes(&app, 200, "ready once migrated").await;
}

#[tokio::test]
async fn after_a_kill_under_load_every_201_is_a_user_with_a_task() {
    let server = Postgres::start().await;
    let (database, app) = over(&server).await;
    becomes(&app, 200, "ready with the database there").await;
    let (answered, mut answers) = watch::channel(0);
    let load = async {
        let mut created = 0_i64;
        for wave in 0..12 {
            let bodies: Vec<_> = (0..10).map(|n| somebody(&format!("w{wave}n{n}"))).collect();
            for answer in futures_util::future::join_all(bodies.iter().map(|body| app.register(body))).await {
                match answer.status {
                    201 => created += 1,
                    503 => drop(answer.problem(503)),
                    other => panic!("{other}: {answer:?}"),
                }
            }
            answered.send_replace(wave);
        }
        created
    };
    let fault = async {
        answers.wait_for(|wave| *wave >= 1).await.unwrap();
        server.kill();
        answers.wait_for(|wave| *wave >= 4).await.unwrap();
        server.restart().await;
    };
    let (created, ()) = tokio::join!(load, fault);
    is_up(&app).await;
    let counts = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM outbox)";
    let (users, tasks): (i64, i64) = sqlx::query_as(counts).fetch_one(database.pool()).await.unwrap();
    assert_eq!(users, tasks);
    assert!(created <= users, "{created} were told that they are registered, {users} are");
    assert!(created > 0 && created < 120, "{created} of 120: the fault hit nothing or everything");
}

#[tokio::test]
async fn a_claim_that_is_given_up_leaves_no_transaction_open_for_the_next_user_of_its_connection() {
    let server = Postgres::start().await;
    let database = server.database().await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    let pool = platform::postgres::pool(&database.url().parse().unwrap(), 1, "test").unwrap();
    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    eventually("the connection is back in the pool", SOON, async || (pool.num_idle() == 1).then_some(())).await;
    // Its BEGIN waits in the socket, and is done once the server goes on.
    server.pause();
    let claimed =
        outbox::claim(&pool, &outbox::Table::in_search_path(), uuid::Uuid::nil(), 10, Duration::from_secs(5)).await;
    assert!(claimed.is_err(), "a server that stands still answers nothing");
    server.resume();
    let insert = "INSERT INTO outbox (id, task_type, body) VALUES ('0195f0c4-7d4b-7c3a-9a51-3f2b6f1c9e00', 'test', '')";
    sqlx::query(insert).execute(&pool).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(database.pool()).await.unwrap();
    assert_eq!(seen, 1, "what was answered is committed, not part of a transaction that nobody ends");
}
