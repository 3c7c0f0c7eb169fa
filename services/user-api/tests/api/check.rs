//! `user-api check`, against the service and against what is not it.

use std::process::Output;

use testkit::Service;
use tokio::process::Command;

use crate::support::TestApp;

async fn check(arguments: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_user-api");
    let mut command = Command::new(binary);
    command.arg("check").args(arguments).env_clear().kill_on_drop(true).output().await.expect("running user-api check")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[tokio::test]
async fn a_check_passes_and_leaves_nothing_behind() {
    let app = TestApp::start(&[]).await;
    let done = check(&[&format!("http://{}", app.addr)]).await;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(text(&done.stdout).lines().count(), 2, "{done:?}");
    assert_eq!(app.count("users").await, 0, "the check registered somebody");
}

#[tokio::test]
async fn a_check_that_may_register_registers_one_user_each_time() {
    let app = TestApp::start(&[]).await;
    for n in 1..=2 {
        let done = check(&[&format!("http://{}/", app.addr), "--register=example.com"]).await;
        assert!(done.status.success(), "{done:?}");
        assert_eq!(app.count("users").await, n, "{done:?}");
    }
}

#[tokio::test]
async fn a_check_of_something_else_says_in_one_line_what_is_wrong() {
    let app = TestApp::start(&[]).await;
    let nobody = "http://127.0.0.1:9".to_owned();
    let wrong = check(&["http://localhost", "--register=@"]).await;
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
    for (url, code, part) in [
        (format!("http://{}/", app.admin), 69, "openapi.json"),
        (nobody, 69, "http://127.0.0.1:9"),
        ("https://example.com".to_owned(), 64, "http://"),
        ("nonsense".to_owned(), 64, "URL"),
    ] {
        let done = check(&[&url]).await;
        let line = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{url}: {line}");
        assert!(line.lines().count() == 1 && line.contains(part), "{url}: {line:?}");
    }
}

#[tokio::test]
async fn a_check_that_may_wait_waits_until_somebody_answers() {
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &user_api::db::MIGRATOR).await.unwrap();
    let variables =
        [("DATABASE_URL", database.url().to_owned()), ("AMQP_URL", "amqp://u:p@127.0.0.1:9/%2f".to_owned())];
    let service = Service::spawn("user-api", &variables);
    service.ready().await;
    service.kill();
    let url = service.base_url();
    let at_once = check(&[&url]).await;
    assert_eq!(at_once.status.code(), Some(69), "nobody answers there: {at_once:?}");
    let waiting = [url.as_str(), "--wait=30s"];
    let (done, ()) = tokio::join!(check(&waiting), async { service.restart() });
    assert!(done.status.success(), "{done:?}");
}
