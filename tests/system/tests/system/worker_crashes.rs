//! The worker dies, again and again, with mails in every state.

use std::collections::HashSet;
use std::time::Duration;

use rand::RngExt as _;
use system::{SLOTS, System, repeated};
use testkit::{Script, eventually};

const MAILS: usize = 2_000;
const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn only_mails_accepted_and_not_yet_marked_are_repeated_when_the_worker_is_killed() {
    let system = System::start().await;
    // Slow enough that ten kills fall into the two thousand mails, fast enough that each kill finds many in flight.
    system.smtp.set_script(Script::healthy().delay(Duration::from_millis(20)));
    let settings = [("SEND_TIMEOUT", "2s"), ("MAIL_RETRY_SCHEDULE", "1s,2s")];
    let worker = system.worker(&settings);
    system.topology_settled().await;
    let ids: HashSet<_> = system.publish(MAILS, "crash").await.into_iter().collect();

    let mut may_repeat = HashSet::new();
    for kill in 0..KILLS {
        let so_far = system.smtp.mails().len();
        let more = rand::rng().random_range(40..160);
        eventually("mails go on arriving", Duration::from_secs(60), async || {
            (system.smtp.mails().len() >= (so_far + more).min(MAILS)).then_some(())
        })
        .await;
        worker.kill();
        // Whatever the server was still reading is over.
        system.smtp.cut_connections().await;
        let marked = system.marked().await;
        let unmarked: HashSet<_> = system.mailed().into_iter().filter(|id| !marked.contains(id)).collect();
        let new = unmarked.difference(&may_repeat).count();
        assert!(new <= SLOTS + 100, "kill {kill}: {new} mails accepted and not marked, more than slots + 100");
        may_repeat.extend(unmarked);
        worker.restart();
    }
    eventually("every mail has arrived", Duration::from_secs(120), async || {
        let arrived: HashSet<_> = system.mailed().into_iter().collect();
        (arrived.len() >= ids.len()).then_some(())
    })
    .await;
    system.drained(Duration::from_secs(60)).await;

    let mails = system.mailed();
    let arrived: HashSet<_> = mails.iter().copied().collect();
    assert_eq!(arrived, ids, "every mail arrives");
    let repeated = repeated(&mails);
    assert!(repeated.is_subset(&may_repeat), "repeated though marked: {:?}", repeated.difference(&may_repeat));
    assert_eq!(system.queued(contract::queue::DEAD).await, 0, "nobody innocent is dead-lettered");
    worker.terminate().await;
}
