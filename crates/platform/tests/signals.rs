//! What signals do to a process. The process is this test again, started as a child that drains for ever.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const CHILD: &str = "PLATFORM_TEST_DRAINS_FOR_EVER";

#[tokio::test]
async fn the_first_signal_asks_for_a_drain_and_the_second_ends_it() {
    if std::env::var_os(CHILD).is_some() {
        let stop = platform::shutdown::on_signals();
        eprintln!("serving");
        stop.cancelled().await;
        eprintln!("draining");
        std::future::pending::<()>().await;
    }
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let ended = tokio::time::timeout(Duration::from_secs(20), signalled_twice(signal)).await;
        assert_eq!(ended.expect("the second signal did not end it"), Some(code), "SIG{signal}");
    }
}

async fn signalled_twice(signal: &str) -> Option<i32> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_first_signal_asks_for_a_drain_and_the_second_ends_it", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = child.id().unwrap().to_string();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for expected in ["serving", "draining"] {
        while lines.next_line().await.unwrap().expect("it ended too early") != expected {}
        Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap();
    }
    child.wait().await.unwrap().code()
}
