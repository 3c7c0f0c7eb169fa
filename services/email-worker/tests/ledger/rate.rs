//! One rate for all workers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use email_worker::rate::{Ceiling, FleetRate, Prepare, RateCounts, SendPermit};
use sqlx::PgPool;
use testkit::{Postgres, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::steady;
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
async fn leave(rate: &FleetRate) -> Option<SendPermit> {
    rate.leave(&mut Ready).await.ok()
}

/// A worker that always has a mail to send, in 16 sending slots.
struct Sender {
    rate: FleetRate,
    sent: Arc<Mutex<Vec<Instant>>>,
    tasks: JoinSet<()>,
    token: CancellationToken,
}

/// What one worker did.
struct Run {
    /// Its mails, in their order.
    sent: Vec<Instant>,
    counts: RateCounts,
}

impl Sender {
    fn start(pool: &PgPool, per_second: u32, a_mail: Duration) -> Self {
        let (sent, token) = (Arc::<Mutex<Vec<Instant>>>::default(), CancellationToken::new());
        let (rate, actor) = FleetRate::start(pool.clone(), at(per_second), false, token.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(actor);
        for _ in 0..16 {
            let (rate, sent, token) = (rate.clone(), Arc::clone(&sent), token.clone());
            tasks.spawn(async move {
                while let Some(Ok(_leave)) = token.run_until_cancelled(rate.leave(&mut Ready)).await {
                    sent.lock().unwrap().push(Instant::now());
                    tokio::time::sleep(a_mail).await;
                }
            });
        }
        Self { rate, sent, tasks, token }
    }

    /// Lets it run for a while, from its first mail on.
    async fn run_for(&self, time: Duration) {
        let sends = async || (!self.sent.lock().unwrap().is_empty()).then_some(());
        eventually("a worker sends", Duration::from_secs(30), sends).await;
        tokio::time::sleep(time).await;
    }

    async fn stop(mut self) -> Run {
        self.token.cancel();
        while self.tasks.join_next().await.is_some() {}
        let mut sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.sort();
        Run { sent, counts: self.rate.counts() }
    }
}

impl Run {
    fn first(&self) -> Instant {
        self.sent[0]
    }

    fn last(&self) -> Instant {
        self.sent[self.sent.len() - 1]
    }
}

/// All mails of a fleet, in their order; no second of theirs may be above the rate.
fn sent_by(runs: &[Run], per_second: u32) -> Vec<Instant> {
    let mut sent: Vec<Instant> = runs.iter().flat_map(|run| run.sent.iter().copied()).collect();
    sent.sort();
    assert_eq!(steady::rush(&sent, per_second), None, "{}", counts(runs));
    sent
}

/// The whole fleet, while all of it runs, keeps to the rate and uses it.
fn assert_rate(runs: &[Run], per_second: u32) {
    let sent = sent_by(runs, per_second);
    let (from, to) = (runs.iter().map(Run::first).max().unwrap(), runs.iter().map(Run::last).min().unwrap());
    assert_eq!(steady::wrong(&sent, from, to, per_second), None, "{}", counts(runs));
}

fn counts(runs: &[Run]) -> String {
    runs.iter().map(|run| format!("{:?}\n", run.counts)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_with_a_backlog_share_the_rate_and_use_it() {
    let pool = Home::alone().await;
    let a_mail = Duration::from_millis(5);
    let (a, b) = (Sender::start(&pool, 200, a_mail), Sender::start(&pool, 200, a_mail));
    a.run_for(Duration::ZERO).await;
    b.run_for(Duration::from_secs(7)).await;
    let runs = [a.stop().await, b.stop().await];
    assert_rate(&runs, 200);
    assert!(runs.iter().all(|run| run.counts.handed_out >= 500), "one worker starves: {}", counts(&runs));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_keeps_to_a_high_rate_and_uses_it() {
    let pool = Home::alone().await;
    let worker = Sender::start(&pool, 2_000, Duration::from_millis(1));
    worker.run_for(Duration::from_secs(5)).await;
    assert_rate(&[worker.stop().await], 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_joins_and_one_that_leaves_change_nothing() {
    const PHASE: Duration = Duration::from_secs(3);
    let pool = Home::alone().await;
    let a_mail = Duration::from_millis(5);
    let (a, b) = (Sender::start(&pool, 200, a_mail), Sender::start(&pool, 200, a_mail));
    a.run_for(Duration::ZERO).await;
    b.run_for(PHASE).await;
    let c = Sender::start(&pool, 200, a_mail);
    c.run_for(PHASE).await;
    let a = a.stop().await;
    b.run_for(PHASE).await;
    let runs = [a, b.stop().await, c.stop().await];
    let sent = sent_by(&runs, 200);
    let [a, b, c] = &runs;
    for (phase, from, to) in [
        ("two workers", a.first().max(b.first()), c.first()),
        ("three workers", c.first(), a.last()),
        ("two again", a.last(), b.last().min(c.last())),
    ] {
        assert_eq!(steady::wrong(&sent, from, to, 200), None, "{phase}: {}", counts(&runs));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_fleet_shares_the_rate() {
    let server = Postgres::start().await;
    let pool = Home::alone_within(&server, 40).await;
    let fleet: Vec<_> = (0..30).map(|_| Sender::start(&pool, 300, Duration::from_millis(5))).collect();
    for worker in &fleet {
        worker.run_for(Duration::ZERO).await;
    }
    fleet[0].run_for(Duration::from_secs(5)).await;
    let mut runs = Vec::new();
    for worker in fleet {
        runs.push(worker.stop().await);
    }
    assert_rate(&runs, 300);
    assert!(runs.iter().all(|run| run.counts.handed_out >= 5), "a worker starves: {}", counts(&runs));
}

#[tokio::test]
async fn an_idle_fleet_gives_the_first_slot_at_once_and_saves_none_up() {
    let pool = Home::shared().await;
    let (rate, actor) = FleetRate::start(pool.clone(), at(20), false, CancellationToken::new());
    let actor = tokio::spawn(actor);
    let first = Instant::now();
    assert!(leave(&rate).await.is_some());
    assert!(first.elapsed() < Duration::from_millis(500), "the first slot took {:?}", first.elapsed());
    // Idle, for twenty slots' time.
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
    let pool = Home::shared().await;
    let (unlimited, actor) = FleetRate::start(pool.clone(), Ceiling::Unlimited, false, CancellationToken::new());
    let actor = tokio::spawn(actor);
    for _ in 0..10_000 {
        assert!(leave(&unlimited).await.is_some());
    }
    drop(unlimited);
    actor.await.unwrap();
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
