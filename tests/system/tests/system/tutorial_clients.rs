//! The clients of the tutorial that this project grew from, in another language, on the same queue.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use contract::queue;
use system::{Load, System};
use testkit::eventually;
use tokio::process::Command;

async fn client(script: &str, url: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
    // Debian's python3-pika belongs to Debian's Python, whatever else is on the PATH.
    let output = Command::new("/usr/bin/python3").arg(path).arg(url).args(arguments).stdin(Stdio::null()).output();
    let output = tokio::time::timeout(Duration::from_secs(30), output).await.expect("the client ends").unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_declares_with_no_arguments_gets_its_bare_task_mailed() {
    let system = System::start().await;
    // It comes first, to a broker where nobody has declared the queue yet.
    client("produce.py", system.rabbit.amqp_url(), &["before@example.com", "before"]).await;
    let worker = system.worker(&[]);
    worker.ready().await;
    client("produce.py", system.rabbit.amqp_url(), &["after@example.com", "after"]).await;

    system.smtp.wait_for_mails(2, Duration::from_secs(30)).await;
    let to: Vec<String> = system.smtp.mails().iter().map(|mail| mail.to[0].clone()).collect();
    assert!(to.contains(&"before@example.com".to_owned()) && to.contains(&"after@example.com".to_owned()), "{to:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_reads_only_the_two_fields_gets_on_with_our_tasks() {
    let system = System::start().await;
    let api = system.api(&[]).await;
    let answers = Load::new(vec![api.base_url()], "classic").run(3, 1).await;
    assert!(answers.iter().all(|answer| answer.status == Some(201)));
    eventually("the relay has published", Duration::from_secs(20), async || {
        (system.queued(queue::EMAIL).await == 3).then_some(())
    })
    .await;

    let read = client("consume.py", system.rabbit.amqp_url(), &["3"]).await;
    let mut lines: Vec<&str> = read.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["classic-0@example.com classic-0", "classic-1@example.com classic-1", "classic-2@example.com classic-2"]
    );
}
