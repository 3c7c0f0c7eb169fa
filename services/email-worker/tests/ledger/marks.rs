//! What was sent is known to be sent.

use std::time::Duration;

use contract::TaskId;
use email_worker::ledger::{Cancelled, Claim, LedgerCounts, LedgerOptions};
use futures_util::future::join_all;
use testkit::Postgres;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::{Home, LEASE, Worker};

fn impatient() -> LedgerOptions {
    LedgerOptions { answer_within: Duration::from_millis(500), ..LedgerOptions::new(LEASE) }
}

#[tokio::test]
async fn marks_outlive_a_database_that_is_killed_and_restarted() {
    let server = Postgres::start().await;
    let pool = Home::within(&server, 8).await;
    let worker = Worker::with(&pool, impatient());
    let ids: Vec<TaskId> = (0..80).map(|_| TaskId::new()).collect();
    join_all(ids.iter().map(|id| worker.ledger.claim(*id))).await;
    server.kill();

    let mut marks = JoinSet::new();
    for id in &ids {
        let (ledger, id) = (worker.ledger.clone(), *id);
        marks.spawn(async move { ledger.mark_sent(id).await });
    }
    let asked = Instant::now();
    worker.ledger.claim(TaskId::new()).await.expect_err("nothing is claimed without a database");
    worker.ledger.probe().await.expect_err("the database is away");
    assert!(asked.elapsed() < Duration::from_secs(4), "LedgerDown took {:?}", asked.elapsed());
    assert!(marks.try_join_next().is_none(), "a mark is only done once it is durable");

    server.restart().await;
    let marked =
        timeout(Duration::from_secs(10), marks.join_all()).await.expect("the marks are made once the database is back");
    assert!(marked.iter().all(Result::is_ok));
    let claims = join_all(ids.iter().map(|id| worker.ledger.claim(*id))).await;
    assert!(claims.into_iter().all(|claim| claim.unwrap() == Claim::Sent));
}

#[tokio::test]
async fn a_restart_while_nothing_is_asked_goes_unnoticed() {
    let server = Postgres::start().await;
    let pool = Home::within(&server, 8).await;
    let worker = Worker::start(&pool);
    let id = TaskId::new();
    // Leaves an idle connection in every place that keeps one.
    worker.ledger.claim(id).await.unwrap();
    join_all((0..5).map(|_| worker.ledger.probe())).await;
    worker.ledger.mark_sent(TaskId::new()).await.unwrap();
    server.kill();
    server.restart().await;
    worker.ledger.claim(TaskId::new()).await.unwrap();
    worker.ledger.probe().await.unwrap();
    worker.ledger.release(&[id]).await.unwrap();
    worker.ledger.mark_sent(id).await.unwrap();
}

#[tokio::test]
async fn a_database_that_hangs_is_down_in_bounded_time() {
    let server = Postgres::start().await;
    let pool = Home::within(&server, 8).await;
    let worker = Worker::with(&pool, impatient());
    let id = TaskId::new();
    worker.ledger.claim(id).await.unwrap();
    server.pause();
    let asked = Instant::now();
    let claims = join_all((0..10).map(|_| worker.ledger.claim(TaskId::new()))).await;
    assert!(claims.iter().all(Result::is_err));
    assert!(asked.elapsed() < Duration::from_secs(3), "LedgerDown took {:?}", asked.elapsed());
    let mut mark = worker.ledger.begin_mark(id).await.unwrap();
    server.resume();
    timeout(Duration::from_secs(10), mark.done()).await.expect("the mark is made once the database answers").unwrap();
    assert_eq!(worker.ledger.claim(id).await.unwrap(), Claim::Sent);
}

#[tokio::test]
async fn no_more_than_a_hundred_mails_wait_for_their_marks_while_the_database_is_away() {
    let server = Postgres::start().await;
    let pool = Home::within(&server, 8).await;
    let worker = Worker::with(&pool, impatient());
    worker.ledger.probe().await.unwrap();
    server.kill();
    let mut marks = Vec::new();
    for _ in 0..100 {
        marks.push(worker.ledger.begin_mark(TaskId::new()).await.unwrap());
    }
    let one_more = worker.ledger.begin_mark(TaskId::new());
    tokio::pin!(one_more);
    timeout(Duration::from_millis(300), &mut one_more).await.expect_err("a hundred places are taken");
    server.restart().await;
    let mut one_more = timeout(Duration::from_secs(10), one_more).await.expect("places become free").unwrap();
    one_more.done().await.unwrap();
    for mut mark in marks {
        mark.done().await.unwrap();
    }
}

#[tokio::test]
async fn a_worker_that_stops_without_its_database_gives_its_marks_up() {
    let server = Postgres::start().await;
    let pool = Home::within(&server, 8).await;
    let worker = Worker::with(&pool, impatient());
    worker.ledger.probe().await.unwrap();
    server.kill();
    let ledger = worker.ledger.clone();
    let mark = tokio::spawn(async move { ledger.mark_sent(TaskId::new()).await });
    // So that the mark is on its way; nothing tells of that, and before it the end is the same.
    tokio::time::sleep(Duration::from_millis(100)).await;
    worker.stop().await;
    assert_eq!(mark.await.unwrap(), Err(Cancelled));
}

#[tokio::test]
async fn marks_that_wait_when_the_worker_stops_are_still_made() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    let id = TaskId::new();
    worker.ledger.claim(id).await.unwrap();
    let mut mark = worker.ledger.begin_mark(id).await.unwrap();
    worker.stop().await;
    mark.done().await.unwrap();
    let next = Worker::start(&pool);
    assert_eq!(next.ledger.claim(id).await.unwrap(), Claim::Sent);
}

#[tokio::test]
async fn a_mark_whose_row_is_gone_is_written_anew() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    let id = TaskId::new();
    worker.ledger.claim(id).await.unwrap();
    sqlx::query("DELETE FROM ledger").execute(&*pool).await.unwrap();
    worker.ledger.mark_sent(id).await.unwrap();
    assert_eq!(worker.ledger.claim(id).await.unwrap(), Claim::Sent);
}

/// Claims and marks `per_second` tasks a second, evenly spread, as an engine does that never waits for itself.
pub(crate) async fn load(worker: &Worker, per_second: u32, lasting: Duration) -> LedgerCounts {
    let mut tasks = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let began = Instant::now();
    let mut started = 0;
    while began.elapsed() < lasting {
        tick.tick().await;
        let due = began.elapsed().as_secs_f64() * f64::from(per_second);
        while f64::from(started) < due {
            started += 1;
            let ledger = worker.ledger.clone();
            tasks.spawn(async move {
                let id = TaskId::new();
                ledger.claim(id).await.unwrap();
                ledger.mark_sent(id).await.unwrap();
            });
        }
    }
    tasks.join_all().await;
    worker.ledger.counts()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_full_rate_a_mail_costs_a_twentieth_of_a_round_trip() {
    let pool = Home::shared().await;
    let worker = Worker::start(&pool);
    let counts = load(&worker, 5_000, Duration::from_secs(2)).await;
    let per_mail = counts.trips() as f64 / counts.marks as f64;
    assert!(counts.marks >= 9_000 && per_mail <= 0.05, "{per_mail:.3} round trips a mail: {counts:?}");
}
