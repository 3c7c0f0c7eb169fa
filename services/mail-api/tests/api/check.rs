//! `mail-api check`, against the service and against what is not it.

use std::process::Output;

use tokio::process::Command;

use crate::support::TestApi;

async fn check(url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mail-api"));
    command.args(["check", url]).env_clear().kill_on_drop(true).output().await.unwrap()
}

#[tokio::test]
async fn a_check_passes_without_a_key_and_leaves_nothing_behind() {
    let api = TestApi::start(&[]).await;
    let done = check(&format!("http://{}", api.addr)).await;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8(done.stdout).unwrap().lines().count(), 2);
    let tasks: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sluice.outbox").fetch_one(api.database.pool()).await.unwrap();
    assert_eq!(tasks, 0, "the check asked for a mail");
}

#[tokio::test]
async fn a_check_of_something_else_says_in_one_line_what_is_wrong() {
    let api = TestApi::start(&[]).await;
    for (url, code, part) in [
        (format!("http://{}/", api.admin), 69, "openapi.json"),
        (format!("http://{}/v1", api.addr), 69, "openapi.json"),
        ("http://127.0.0.1:9".to_owned(), 69, "http://127.0.0.1:9"),
        ("https://example.com".to_owned(), 64, "http://"),
        ("nonsense".to_owned(), 64, "URL"),
    ] {
        let done = check(&url).await;
        let line = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{url}: {line}");
        assert!(line.lines().count() == 1 && line.contains(part), "{url}: {line:?}");
    }
}
