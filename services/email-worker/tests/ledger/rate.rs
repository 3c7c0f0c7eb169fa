//! One rate for all workers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use email_worker::rate::{Ceiling, FleetRate, Prepare, RateCounts, Slot};
use sqlx::PgPool;
use testkit::{Postgres, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::Home;

fn at(per_second: u32) -> Ceiling {
    per_second.to_string().parse().unwrap()
}

/// Nothing is to be made ready.
struct Ready;

impl Prepare for Ready {
    type Unready = std::convert::Infallible;

    async fn prepare(&mut self) -> Result<(), Self::Unready> {
        Ok(())
    }
}

/// A slot at its moment.
async fn leave(rate: &FleetRate) -> Option<Slot> {
    rate.leave(&mut Ready).await.ok()
}

/// A worker that always has a mail to send, in 16 sending slots.
struct Sender {
    rate: FleetRate,
    tasks: JoinSet<()>,
    token: CancellationToken,
}

type Sent = Arc<Mutex<Vec<Instant>>>;

impl Sender {
    fn start(pool: &PgPool, per_second: u32, a_mail: Duration, sent: &Sent) -> Self {
        let token = CancellationToken::new();
        let (rate, actor) = FleetRate::start(pool.clone(), at(per_second), false, token.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(actor);
        for _ in 0..16 {
            let (rate, sent, token) = (rate.clone(), Arc::clone(sent), token.clone());
            tasks.spawn(async move {
                while let Some(Ok(_leave)) = token.run_until_cancelled(rate.leave(&mut Ready)).await {
                    sent.lock().unwrap().push(Instant::now());
                    tokio::time::sleep(a_mail).await;
                }
            });
        }
        Self { rate, tasks, token }
    }

    async fn stop(mut self) -> RateCounts {
        self.token.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.rate.counts()
    }
}

/// How many were sent in the second that begins with each mail, sorted.
fn windows(sent: &[Instant]) -> Vec<usize> {
    let mut counts: Vec<usize> = (0..sent.len())
        .map(|first| sent.partition_point(|at| *at < sent[first] + Duration::from_secs(1)) - first)
        .collect();
    counts.sort_unstable();
    counts
}

fn assert_rate(sent: &Sent, per_second: usize, counts: &[RateCounts]) {
    let mut sent = sent.lock().unwrap().clone();
    sent.sort();
    let took = sent[sent.len() - 1] - sent[0];
    let mean = sent.len() as f64 / took.as_secs_f64();
    let windows = windows(&sent);
    let (most, nearly_most) = (windows[windows.len() - 1], windows[windows.len() * 999 / 1000]);
    let figures = format!("mean {mean:.1}/s, at most {most}, 99.9 % at most {nearly_most} in a second; {counts:?}");
    println!("{figures}");
    assert!(most <= per_second * 110 / 100, "a second with too many: {figures}");
    assert!(nearly_most <= per_second * 105 / 100, "too often too many: {figures}");
    assert!(mean >= per_second as f64 * 0.95, "the rate is not used: {figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_with_a_backlog_share_the_rate_and_use_it() {
    let pool = Home::shared().await;
    let sent = Sent::default();
    let a_mail = Duration::from_millis(5);
    let (a, b) = (Sender::start(&pool, 200, a_mail, &sent), Sender::start(&pool, 200, a_mail, &sent));
    tokio::time::sleep(Duration::from_secs(8)).await;
    let counts = [a.stop().await, b.stop().await];
    assert_rate(&sent, 200, &counts);
    assert!(counts.iter().all(|counts| counts.handed_out >= 500), "one worker starves: {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_keeps_to_a_high_rate_and_uses_it() {
    let pool = Home::shared().await;
    let sent = Sent::default();
    let worker = Sender::start(&pool, 2_000, Duration::from_millis(1), &sent);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let counts = [worker.stop().await];
    assert_rate(&sent, 2_000, &counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_joins_and_one_that_leaves_change_nothing() {
    let pool = Home::shared().await;
    let sent = Sent::default();
    let a_mail = Duration::from_millis(5);
    let (a, b) = (Sender::start(&pool, 200, a_mail, &sent), Sender::start(&pool, 200, a_mail, &sent));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let c = Sender::start(&pool, 200, a_mail, &sent);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut counts = vec![a.stop().await];
    tokio::time::sleep(Duration::from_secs(3)).await;
    counts.extend([b.stop().await, c.stop().await]);
    assert_rate(&sent, 200, &counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_fleet_shares_the_rate() {
    let server = Postgres::start().await;
    let pool = Home::within(&server, 40).await;
    let sent = Sent::default();
    let fleet: Vec<_> = (0..30).map(|_| Sender::start(&pool, 300, Duration::from_millis(5), &sent)).collect();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut counts = Vec::new();
    for worker in fleet {
        counts.push(worker.stop().await);
    }
    assert_rate(&sent, 300, &counts);
    assert!(counts.iter().all(|counts| counts.handed_out >= 5), "a worker starves: {counts:?}");
}

#[tokio::test]
async fn an_idle_fleet_gives_the_first_slot_at_once_and_saves_none_up() {
    let pool = Home::shared().await;
    let (rate, actor) = FleetRate::start(pool.clone(), at(20), false, CancellationToken::new());
    let actor = tokio::spawn(actor);
    let first = Instant::now();
    assert!(leave(&rate).await.is_some());
    assert!(first.elapsed() < Duration::from_millis(500), "the first slot took {:?}", first.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let backlog = Instant::now();
    for _ in 0..10 {
        assert!(leave(&rate).await.is_some());
    }
    // Nine spaces of 50 ms, less the tolerance of a slot.
    assert!(backlog.elapsed() >= Duration::from_millis(420), "ten slots of 20/s took {:?}", backlog.elapsed());
    drop(rate);
    actor.await.unwrap();
}

#[tokio::test]
async fn without_a_limit_there_is_always_a_slot() {
    let unlimited = FleetRate::unlimited();
    for _ in 0..10_000 {
        assert!(leave(&unlimited).await.is_some());
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_stop_the_fleet() {
    let pool = Home::shared().await;
    sqlx::query("INSERT INTO mail_rate (next_free) VALUES (now() + interval '1 hour')").execute(&*pool).await.unwrap();
    let (rate, actor) = FleetRate::start(pool.clone(), at(100), false, CancellationToken::new());
    let actor = tokio::spawn(actor);
    let slot = tokio::time::timeout(Duration::from_secs(2), leave(&rate)).await.expect("a slot comes soon");
    assert!(slot.is_some());
    drop(rate);
    actor.await.unwrap();
}

#[tokio::test]
async fn without_its_database_the_fleet_has_no_slots_until_it_is_back() {
    let server = Postgres::start().await;
    let pool = Home::within(&server, 8).await;
    let (rate, actor) = FleetRate::start(pool.clone(), at(100), false, CancellationToken::new());
    let actor = tokio::spawn(actor);
    assert!(leave(&rate).await.is_some());
    server.kill();
    let asked = Instant::now();
    let mut slots = 0;
    while leave(&rate).await.is_some() {
        slots += 1;
    }
    assert!(slots <= 10, "{slots} slots came from a lease of at most 10");
    assert!(asked.elapsed() < Duration::from_secs(4), "LedgerDown took {:?}", asked.elapsed());
    server.restart().await;
    let _leave = eventually("slots are back", Duration::from_secs(10), async || leave(&rate).await).await;
    drop(rate);
    actor.await.unwrap();
}
