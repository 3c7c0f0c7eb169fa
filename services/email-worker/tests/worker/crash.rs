//! A worker that is killed again and again: every mail arrives, and only what the ledger could not know is repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contract::queue;
use testkit::{Script, eventually};
use uuid::Uuid;

use crate::helpers::{PATIENCE, World};

const MAILS: usize = 600;
const SLOTS: usize = 8;
/// Enough deliveries of what was prefetched to make suspects of it.
const KILLS: usize = 6;

/// How often each task was mailed.
fn mailed(world: &World) -> BTreeMap<Uuid, usize> {
    let mut times = BTreeMap::new();
    for mail in world.smtp.mails() {
        let id: Uuid = mail.message_id().split('@').next().unwrap().parse().unwrap();
        *times.entry(id).or_default() += 1;
    }
    times
}

#[tokio::test]
async fn a_worker_killed_again_and_again_loses_no_mail_and_repeats_only_what_was_not_marked() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(5)));
    world.queue_exists().await;
    world.register_many("user", MAILS).await;
    let worker = world.process(&[("SENDING_SLOTS", &SLOTS.to_string()), ("SEND_TIMEOUT", "1s")]);
    let mut unmarked = BTreeSet::new();
    for kill in 1..=KILLS {
        // At a point that differs each time.
        let enough = kill * MAILS / (KILLS + 2) + kill * 7 % 13;
        world.smtp.wait_for_count(enough, 2 * PATIENCE).await;
        worker.kill();
        let quiet = async || (world.smtp.counts().open == 0).then_some(());
        eventually("the mail server has taken what was under way", PATIENCE, quiet).await;
        let marked: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM ledger WHERE sent_at IS NOT NULL")
            .fetch_all(world.database.pool())
            .await
            .unwrap();
        let accepted: BTreeSet<Uuid> = mailed(&world).into_keys().collect();
        let open: Vec<Uuid> = accepted.into_iter().filter(|id| !marked.contains(id)).collect();
        assert!(open.len() <= SLOTS + 100, "kill {kill}: {} mails accepted and not marked", open.len());
        unmarked.extend(open);
        worker.restart();
    }
    let all = async || (mailed(&world).len() == MAILS).then_some(());
    eventually("everyone has a mail", 2 * PATIENCE, all).await;
    world.marked(i64::try_from(MAILS).unwrap()).await;
    assert!(worker.terminate().await.success());
    let repeated: BTreeSet<Uuid> = mailed(&world).into_iter().filter(|(_, n)| *n > 1).map(|(id, _)| id).collect();
    let unexplained: Vec<_> = repeated.difference(&unmarked).collect();
    assert!(unexplained.is_empty(), "repeated although they were marked before the kill: {unexplained:?}");
    assert_eq!(world.waiting(queue::DEAD).await, 0, "somebody innocent was put aside");
    world.handed_back(0).await;
}
