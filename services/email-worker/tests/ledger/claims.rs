//! Who gets to send a mail.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contract::TaskId;
use email_worker::ledger::{Claim, LedgerOptions};
use futures_util::future::{Either, join_all};
use testkit::{Postgres, eventually};
use tokio::time::Instant;

use crate::support::{Home, Worker};

/// Longer than anything takes that is to happen.
const SOON: Duration = Duration::from_secs(20);

fn is_ours(claim: Claim) -> bool {
    matches!(claim, Claim::Ours { .. })
}

#[tokio::test]
async fn a_task_is_claimed_by_one_worker_and_is_sent_for_all_of_them() {
    let pool = Home::shared().await;
    let (a, b) = (Worker::start(&pool), Worker::start(&pool));
    let id = TaskId::new();
    assert!(is_ours(a.ledger.claim(id).await.unwrap()));
    assert_eq!(b.ledger.claim(id).await.unwrap(), Claim::Elsewhere);
    assert!(is_ours(a.ledger.claim(id).await.unwrap()), "a worker keeps what it has");
    a.ledger.mark_sent(id).await.unwrap();
    assert_eq!(a.ledger.claim(id).await.unwrap(), Claim::Sent);
    assert_eq!(b.ledger.claim(id).await.unwrap(), Claim::Sent);
    assert_eq!(b.ledger.renew(id).await.unwrap(), Claim::Sent);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_claim_holds_until_the_moment_it_names_and_is_anybodys_after_it() {
    let pool = Home::shared().await;
    let lease = Duration::from_millis(600);
    let (a, b) = (Worker::with(&pool, LedgerOptions::new(lease)), Worker::start(&pool));
    let id = TaskId::new();
    let Claim::Ours { until } = a.ledger.claim(id).await.unwrap() else { panic!("nobody else has it") };
    assert!(until <= Instant::now() + lease);
    assert_eq!(b.ledger.claim(id).await.unwrap(), Claim::Elsewhere);
    // The database's end comes after the worker's by no more than the round trip took.
    tokio::time::sleep_until(until + Duration::from_millis(400)).await;
    assert!(is_ours(b.ledger.claim(id).await.unwrap()), "the claim has run out");
    assert_eq!(a.ledger.renew(id).await.unwrap(), Claim::Elsewhere, "it was another's by then");
}

#[tokio::test]
async fn a_renewed_claim_holds_for_longer() {
    let pool = Home::shared().await;
    let lease = Duration::from_millis(800);
    let (a, b) = (Worker::with(&pool, LedgerOptions::new(lease)), Worker::start(&pool));
    let id = TaskId::new();
    let Claim::Ours { until } = a.ledger.claim(id).await.unwrap() else { panic!("nobody else has it") };
    // Time itself: a claim is renewed from the moment at which that is asked for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Claim::Ours { until: renewed } = a.ledger.renew(id).await.unwrap() else { panic!("it is ours to renew") };
    assert!(renewed >= until + Duration::from_millis(300));
    tokio::time::sleep_until(until + Duration::from_millis(50)).await;
    assert_eq!(b.ledger.claim(id).await.unwrap(), Claim::Elsewhere);
}

#[tokio::test]
async fn a_released_claim_is_anybodys_at_once_and_what_was_sent_stays_sent() {
    let pool = Home::shared().await;
    let (a, b) = (Worker::start(&pool), Worker::start(&pool));
    let (given_back, sent, others) = (TaskId::new(), TaskId::new(), TaskId::new());
    for id in [given_back, sent] {
        assert!(is_ours(a.ledger.claim(id).await.unwrap()));
    }
    assert!(is_ours(b.ledger.claim(others).await.unwrap()));
    a.ledger.mark_sent(sent).await.unwrap();
    a.ledger.release(&[others, sent, given_back, TaskId::new()]).await.unwrap();
    assert!(is_ours(b.ledger.claim(given_back).await.unwrap()));
    assert_eq!(b.ledger.claim(sent).await.unwrap(), Claim::Sent);
    assert_eq!(a.ledger.claim(others).await.unwrap(), Claim::Elsewhere, "only the owner gives back");
}

#[tokio::test]
async fn a_release_that_is_late_does_not_end_the_claim_that_came_after_it() {
    let pool = Home::shared().await;
    let (a, b) = (Worker::start(&pool), Worker::start(&pool));
    for lone in [false, true] {
        let id = TaskId::new();
        assert!(is_ours(a.ledger.claim(id).await.unwrap()));
        let ids = [id];
        let late = if lone { Either::Left(a.ledger.end_lone_run(id)) } else { Either::Right(a.ledger.release(&ids)) };
        assert!(is_ours(a.ledger.claim(id).await.unwrap()), "the task came to the same worker again");
        late.await.unwrap();
        assert_eq!(b.ledger.claim(id).await.unwrap(), Claim::Elsewhere, "two workers have the task; lone run: {lone}");
    }
}

#[tokio::test]
async fn a_renewal_that_is_late_does_not_bring_back_what_was_released() {
    let pool = Home::shared().await;
    // Statements that claim wait at this door, those that release do not.
    let door = "CREATE FUNCTION door() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
                CREATE TRIGGER door BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION door();";
    sqlx::raw_sql(door).execute(&*pool).await.unwrap();
    let (a, b) = (Worker::start(&pool), Worker::start(&pool));
    let id = TaskId::new();
    assert!(is_ours(a.ledger.claim(id).await.unwrap()));

    let mut closed = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(1)").execute(&mut *closed).await.unwrap();
    let at_the_door = async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&*pool).await.unwrap()
    };
    let renewal = tokio::spawn({
        let ledger = a.ledger.clone();
        async move { ledger.renew(id).await }
    });
    eventually("the renewal waits", SOON, async || (at_the_door().await == 1).then_some(())).await;
    // A drain gives back what it waits for no longer.
    renewal.abort();
    a.ledger.release(&[id]).await.unwrap();
    closed.rollback().await.unwrap();
    // Through after the renewal: a worker claims in order.
    assert!(is_ours(a.ledger.claim(TaskId::new()).await.unwrap()));
    assert!(is_ours(b.ledger.claim(id).await.unwrap()), "another worker waits for a claim that nobody has");
}

#[tokio::test]
async fn a_lone_run_whose_claim_was_lost_forgets_itself_and_not_the_runs_of_others() {
    let pool = Home::shared().await;
    let lease = Duration::from_millis(100);
    let (a, b) = (Worker::with(&pool, LedgerOptions::new(lease)), Worker::start(&pool));
    let id = TaskId::new();
    assert!(is_ours(a.ledger.claim(id).await.unwrap()));
    assert_eq!(a.ledger.begin_lone_run(id).await.unwrap(), 1);
    let taken = async || is_ours(b.ledger.claim(id).await.unwrap()).then_some(());
    eventually("the claim has run out", SOON, taken).await;
    assert_eq!(b.ledger.begin_lone_run(id).await.unwrap(), 2);
    a.ledger.end_lone_run(id).await.unwrap();
    assert_eq!(a.ledger.claim(id).await.unwrap(), Claim::Elsewhere, "it is the other's");
    assert_eq!(b.ledger.begin_lone_run(id).await.unwrap(), 2, "of three that were begun one has ended");
}

#[tokio::test]
async fn lone_runs_are_counted_over_workers_until_one_ends_well() {
    let pool = Home::shared().await;
    let (a, b) = (Worker::start(&pool), Worker::start(&pool));
    let id = TaskId::new();
    assert!(is_ours(a.ledger.claim(id).await.unwrap()));
    assert_eq!(a.ledger.begin_lone_run(id).await.unwrap(), 1);
    assert_eq!(b.ledger.begin_lone_run(id).await.unwrap(), 2);
    assert_eq!(a.ledger.begin_lone_run(id).await.unwrap(), 3);
    a.ledger.end_lone_run(id).await.unwrap();
    assert!(is_ours(b.ledger.claim(id).await.unwrap()), "a clean end gives the claim back as well");
    assert_eq!(b.ledger.begin_lone_run(id).await.unwrap(), 1);
}

#[tokio::test]
async fn of_many_that_claim_the_same_tasks_at_once_each_task_has_one_owner() {
    const WORKERS: usize = 64;
    const TASKS: usize = 200;
    let server = Postgres::start().await;
    let pool = Home::within(&server, 70).await;
    let workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(&pool)).collect();
    let ids: Arc<[TaskId]> = (0..TASKS).map(|_| TaskId::new()).collect();
    let claimed = join_all(workers.iter().enumerate().map(|(number, worker)| {
        let (ledger, ids) = (worker.ledger.clone(), Arc::clone(&ids));
        tokio::spawn(async move {
            // Every worker starts elsewhere in the list, so that they meet on rows from all sides.
            let mut order = ids.to_vec();
            order.rotate_left(number * 7 % TASKS);
            let claims = join_all(order.iter().map(|id| ledger.claim(*id))).await;
            order.into_iter().zip(claims.into_iter().map(Result::unwrap)).collect::<Vec<_>>()
        })
    }))
    .await;
    let mut owners = HashMap::<TaskId, usize>::new();
    for (id, claim) in claimed.into_iter().flat_map(Result::unwrap) {
        assert_ne!(claim, Claim::Sent, "nothing was sent");
        *owners.entry(id).or_default() += usize::from(is_ours(claim));
    }
    assert_eq!(owners.len(), TASKS);
    assert!(owners.values().all(|owners| *owners == 1), "a task has none or several owners: {owners:?}");
}

#[tokio::test]
async fn a_task_that_is_claimed_twice_in_one_breath_is_answered_twice() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    let ids: Vec<TaskId> = (0..20).map(|_| TaskId::new()).collect();
    let claims = join_all(ids.iter().chain(&ids).chain(&ids).map(|id| worker.ledger.claim(*id))).await;
    assert!(claims.into_iter().all(|claim| is_ours(claim.unwrap())));
}

#[tokio::test]
async fn a_lone_claim_does_not_wait_for_company() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    worker.ledger.probe().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let asked = Instant::now();
        worker.ledger.claim(TaskId::new()).await.unwrap();
        waits.push(asked.elapsed());
    }
    waits.sort();
    assert!(waits[10] < Duration::from_millis(20), "claims of a quiet worker took {waits:?}");
}

#[tokio::test]
async fn claims_that_arrive_together_share_round_trips() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    let claims = join_all((0..2_000).map(|_| worker.ledger.claim(TaskId::new()))).await;
    assert!(claims.into_iter().all(|claim| is_ours(claim.unwrap())));
    let counts = worker.ledger.counts();
    assert_eq!(counts.claims, 2_000);
    assert!(counts.claim_trips <= 20, "{} round trips for 2,000 claims", counts.claim_trips);
}

#[tokio::test]
async fn claims_are_refused_once_the_worker_stops() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    let ledger = worker.ledger.clone();
    worker.stop().await;
    assert!(ledger.claim(TaskId::new()).await.is_err());
    assert!(ledger.mark_sent(TaskId::new()).await.is_err());
}
