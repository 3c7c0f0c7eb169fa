//! PostgreSQL can be killed, restarted and paused without losing its port or what was committed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use testkit::{Postgres, eventually};

#[tokio::test]
async fn every_test_has_a_database_of_its_own() {
    let (a, b) = tokio::join!(testkit::database(), testkit::database());
    sqlx::query("CREATE TABLE t ()").execute(a.pool()).await.unwrap();
    sqlx::query("CREATE TABLE t ()").execute(b.pool()).await.expect("the other database does not know the table");
    assert_ne!(a.url(), b.url());
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_what_was_committed() {
    let server = Postgres::start().await;
    let database = server.database().await;
    sqlx::raw_sql("CREATE TABLE t (n int); INSERT INTO t VALUES (7)").execute(database.pool()).await.unwrap();

    server.kill();
    let gone = std::net::TcpStream::connect(("127.0.0.1", server.port()));
    assert!(gone.is_err(), "a killed server does not listen");
    server.restart().await;

    let n = eventually("the row is read after the restart", Duration::from_secs(5), async || {
        sqlx::query_scalar::<_, i32>("SELECT n FROM t").fetch_one(database.pool()).await.ok()
    });
    assert_eq!(n.await, 7);
    server.restart().await;
    let synced: String = sqlx::query_scalar("SHOW fsync").fetch_one(database.pool()).await.unwrap();
    assert_eq!(synced, "on", "a private server keeps its commits over a kill");
}

#[tokio::test]
async fn a_paused_server_answers_nothing_and_then_goes_on() {
    let server = Postgres::start().await;
    let database = server.database().await;
    let one = || sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(database.pool());
    one().await.unwrap();
    server.pause();
    let silence = tokio::time::timeout(Duration::from_millis(300), one()).await;
    assert!(silence.is_err(), "a paused server answered: {silence:?}");
    server.resume();
    assert_eq!(one().await.unwrap(), 1);
}
