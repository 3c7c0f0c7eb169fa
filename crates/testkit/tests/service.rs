//! A service's lines and its end can be read. Tried with this crate's own program, which is none of ours but behaves like one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use testkit::Service;

#[tokio::test]
async fn lines_and_exit_codes_are_kept() {
    let usage = Service::spawn("with-servers", &[]);
    usage.wait_for_log("usage: with-servers", Duration::from_secs(10)).await;
    assert_eq!(usage.exited(Duration::from_secs(10)).await.code(), Some(64));
}

#[tokio::test]
async fn variables_and_arguments_reach_it_and_signals_too() {
    let path = [("GREETING", "hello".to_owned())];
    let say = "echo $GREETING from $HTTP_ADDR; exec sleep 1000";
    let service = Service::spawn_with("with-servers", &["sh", "-c", say], &path);
    let at = service.base_url().replace("http://", "");
    service.wait_for_log(&format!("hello from {at}"), Duration::from_secs(60)).await;
    assert!(service.memory() > 0);
    assert_eq!(service.terminate().await.code(), Some(143), "the command's end by SIGTERM is passed on");
}

#[tokio::test]
async fn all_that_a_service_wrote_is_there_once_it_has_ended() {
    for _ in 0..20 {
        let program = Service::spawn_program("/usr/bin/seq".into(), &["20000"], &[]);
        program.exited(Duration::from_secs(30)).await;
        assert_eq!(program.log_lines().last().map(String::as_str), Some("20000"));
    }
}
