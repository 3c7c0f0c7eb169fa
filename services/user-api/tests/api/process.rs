//! The service as a process: its commands, its memory.

use std::time::Duration;

use futures_util::future::join_all;
use testkit::{Service, eventually};

use crate::support::{Answer, somebody, variables};

#[tokio::test]
async fn migrate_may_run_twice_at_once_and_again() {
    let database = testkit::database().await;
    let url = [("DATABASE_URL", database.url().to_owned())];
    let runs: Vec<_> = (0..2).map(|_| Service::spawn_with("user-api", &["migrate"], &url)).collect();
    for run in &runs {
        assert!(run.exited(Duration::from_secs(30)).await.success(), "{:?}", run.log_lines());
    }
    let again = Service::spawn_with("user-api", &["migrate"], &url);
    assert!(again.exited(Duration::from_secs(30)).await.success(), "{:?}", again.log_lines());
    assert!(sqlx::query("SELECT FROM users, outbox, idempotency_keys").fetch_all(database.pool()).await.is_ok());
}

#[tokio::test]
async fn a_migration_may_have_a_url_of_its_own() {
    let database = testkit::database().await;
    let urls = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:9/nothing".to_owned()),
        ("MIGRATE_DATABASE_URL", database.url().to_owned()),
    ];
    for variables in [urls.as_slice(), &urls[1..]] {
        let run = Service::spawn_with("user-api", &["migrate"], variables);
        assert!(run.exited(Duration::from_secs(30)).await.success(), "{:?}", run.log_lines());
    }
    assert!(sqlx::query("SELECT FROM users").fetch_all(database.pool()).await.is_ok());
}

#[tokio::test]
async fn a_database_that_is_not_utf_8_is_refused_before_anything_is_changed() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = testkit::database_encoded(encoding).await;
        let url = [("DATABASE_URL", database.url().to_owned())];
        let run = Service::spawn_with("user-api", &["migrate"], &url);
        let (code, line) = run.failed(Duration::from_secs(30)).await;
        assert!(line.contains("DATABASE_URL") && line.contains(encoding) && line.contains("UTF8"), "{line}");
        assert_eq!(code, Some(78), "{line}");
        assert_eq!(database.tables().await, [""; 0], "{encoding}");
    }
}

#[tokio::test]
async fn the_memory_of_hashing_is_given_back_after_a_load() {
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &user_api::db::MIGRATOR).await.unwrap();
    let service = Service::spawn("user-api", &variables(database.url()));
    service.ready().await;
    let before = service.memory();
    let client = reqwest::Client::new();
    let mut most = 0;
    for wave in 0..3 {
        let register = |n: usize| {
            let request = client.post(format!("{}/v1/users", service.base_url()));
            Answer::read(request.json(&somebody(&format!("w{wave}n{n}"))))
        };
        for answer in join_all((0..20).map(register)).await {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        most = most.max(service.memory());
    }
    const MIB: u64 = 1024 * 1024;
    assert!(most > before + 30 * MIB, "{} MiB under load, {} before: nothing was hashed?", most / MIB, before / MIB);
    let given_back = async || (service.memory() < before + 10 * MIB).then_some(());
    let what = format!("memory is back near {} MiB, from {} MiB", before / MIB, most / MIB);
    eventually(&what, Duration::from_secs(15), given_back).await;
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn settings_that_contradict_themselves_end_with_64_and_a_database_of_another_history_with_78() {
    let run = async |command: &str, vars: &[(&'static str, String)]| {
        let service = Service::spawn_with("user-api", &[command], vars);
        (service.exited(Duration::from_secs(30)).await.code(), service.log_lines())
    };
    let mut vars = variables("postgres://u:p@127.0.0.1:9/d");
    vars.push(("RELAY_POLL_INTERVAL", "0s".to_owned()));
    let (code, lines) = run("serve", &vars).await;
    let [line] = lines.as_slice() else { panic!("not one line: {lines:#?}") };
    assert!(code == Some(64) && line.contains("RELAY_POLL_INTERVAL"), "{code:?}: {line}");

    let database = testkit::database().await;
    let url = [("DATABASE_URL", database.url().to_owned())];
    assert_eq!(run("migrate", &url).await.0, Some(0));
    sqlx::query("UPDATE _sqlx_migrations SET checksum = '\\x00'").execute(database.pool()).await.unwrap();
    let (code, lines) = run("migrate", &url).await;
    assert!(code == Some(78) && lines.iter().any(|line| line.contains("was changed")), "{code:?}: {lines:#?}");
}
