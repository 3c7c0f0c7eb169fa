//! A task that ends whatever worker runs it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use contract::{TaskId, queue};
use system::{System, kill, mail_id, run, task};
use testkit::{Stage, eventually};

const KILLER: &str = "killer@example.com";
const NEIGHBOURS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_kills_its_worker_three_times_alone_is_dead_lettered_and_its_neighbours_are_mailed() {
    let system = System::start().await;
    let victim = Arc::new(AtomicU32::new(0));
    let kills = Arc::new(AtomicUsize::new(0));
    let (pid, count) = (Arc::clone(&victim), Arc::clone(&kills));
    system.smtp.on_command(move |stage, recipient| {
        if stage == Stage::Rcpt && recipient == Some(KILLER) {
            let pid = pid.swap(0, Ordering::SeqCst);
            if pid != 0 {
                count.fetch_add(1, Ordering::SeqCst);
                kill(pid);
            }
        }
    });
    // A short lease, so that the tasks of a dead worker come free soon.
    let settings = [("SEND_TIMEOUT", "1s"), ("MAIL_RETRY_SCHEDULE", "500ms,1s")];
    let worker = system.worker(&settings);
    victim.store(worker.pid(), Ordering::SeqCst);
    system.topology_settled().await;

    let killer = TaskId::new();
    let mut tasks: Vec<_> =
        (0..NEIGHBOURS).map(|n| task(TaskId::new(), &format!("neighbour-{n}@example.com"), "neighbour")).collect();
    tasks.insert(NEIGHBOURS / 2, task(killer, KILLER, "killer"));
    system.publish_all(&tasks).await;

    eventually("the killer is put aside", Duration::from_secs(150), async || {
        if worker.status().is_some() {
            worker.restart();
            victim.store(worker.pid(), Ordering::SeqCst);
        }
        (system.queued(queue::DEAD).await > 0).then_some(())
    })
    .await;
    system.drained(Duration::from_secs(60)).await;

    assert_eq!(system.queued(queue::DEAD).await, 1, "the killer alone is put aside");
    let mailed: HashSet<TaskId> = system.smtp.mails().iter().map(mail_id).collect();
    assert_eq!(mailed.len(), NEIGHBOURS, "every neighbour is mailed");
    assert!(!mailed.contains(&killer));
    let listed = run("email-worker", &["dead", "list"], &[("AMQP_URL", system.rabbit.amqp_url().to_owned())]).await;
    assert!(listed.contains("crashes-worker"), "the reason is listed:\n{listed}");
    assert!(!listed.contains(KILLER), "without an address, unless asked for:\n{listed}");
    println!("{} kills until the task was put aside", kills.load(Ordering::SeqCst));
}
