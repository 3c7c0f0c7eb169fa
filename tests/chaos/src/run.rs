//! One seed: set up, break, heal, wait, reconcile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::queue;
use futures_util::future::join_all;
use system::results::Figure;

use crate::report::{self, Closing, progress};
use crate::schedule::{Fault, Victim, schedule};
use crate::stage::Stage;
use crate::{checker, evidence, load};

/// How long after the last fault everything may take to arrive.
const DRAIN: Duration = Duration::from_secs(120);
/// The broker's numbers may be a second or two old: what is empty stays empty for this long.
const EMPTY: Duration = Duration::from_secs(3);
/// The same where other counts do not agree: longer than a claim, and than any retry queue.
const SURELY_EMPTY: Duration = Duration::from_secs(20);

/// What a seed came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) passed: bool,
    pub(crate) closing: Closing,
    pub(crate) rows: Vec<Figure>,
}

pub(crate) async fn run(seed: u64, time: Duration) -> Outcome {
    let began = Instant::now();
    progress(seed, 0.0, "starting PostgreSQL, RabbitMQ, the mail server and two of each service ..");
    let stage = Arc::new(Stage::set_up(seed, &load::refused(seed, time)).await);
    let set_up = began.elapsed();
    progress(seed, 0.0, &format!("everything runs, after {:.1} s", set_up.as_secs_f64()));

    let mut victims: BTreeMap<Victim, Vec<Fault>> = BTreeMap::new();
    for fault in schedule(seed, time) {
        victims.entry(fault.victim).or_default().push(fault);
    }
    let registering = tokio::spawn(load::register(stage.clone(), time));
    let publishing = tokio::spawn(load::publish(stage.clone(), time));
    let publishing_twins = tokio::spawn(load::publish_twins(stage.clone(), time));
    join_all(victims.values().map(|faults| stage.play(faults))).await;
    progress(seed, stage.clock.now(), "everything is healed");
    let (answers, published) = (registering.await.unwrap(), publishing.await.unwrap());
    let twins = publishing_twins.await.unwrap();
    let confirmed = published.iter().filter(|task| task.promised).count();
    let confirmed = confirmed + twins.iter().map(|twin| twin.confirmed).sum::<usize>();
    let arrived = drained(&stage, confirmed).await;
    progress(
        seed,
        stage.clock.now(),
        if arrived { "what was on its way has arrived" } else { "something is still on its way" },
    );

    // Nothing moves any more while the facts are collected.
    let odd = stage.odd();
    join_all(stage.apis.iter().chain(&stage.workers).chain([&stage.console]).map(testkit::Service::terminate)).await;
    let left = left(&stage).await;
    let facts = evidence::collect(&stage, &answers, published, twins, left, odd).await;
    let result = checker::check(&facts);
    report::write_logs(&stage, &facts);
    let counts = report::counts(&facts, answers.tried_again, &result);
    report::summary(&stage, &facts, &counts, &result).await;
    let closing = Closing::new(&facts, &result);
    Outcome { passed: result.findings.is_empty(), closing, rows: report::rows(seed, &counts, &result) }
}

/// Waits until nothing is on its way, or the time is up; returns whether nothing is. The broker's own counts may be old, and are
/// missing for a while after its restart: they are believed when the ledger and the dead letters account for as many tasks as
/// there are, or when they stay.
async fn drained(stage: &Stage, confirmed: usize) -> bool {
    let deadline = Instant::now() + DRAIN;
    let (mut empty_since, mut arrived): (Option<Instant>, bool) = (None, false);
    let client = stage.system.rabbit.client().await;
    while !arrived && Instant::now() < deadline {
        let queues = stage.system.rabbit.queues().await;
        let queued: u64 = queues.iter().filter(|info| is_on_the_way(&info.name)).map(|info| info.total).sum();
        let untold = evidence::untold(stage.system.ledger_pool()).await;
        let on_their_way = stage.system.outbox().await + stage.jobs().await;
        if queued > 0 || untold > 0 || on_their_way > 0 {
            empty_since = None;
        } else {
            let empty_for = empty_since.get_or_insert_with(Instant::now).elapsed();
            let ended = stage.system.marked().await.len() + client.ready(queue::DEAD).await as usize;
            let all_ended = ended >= stage.system.users().await.len() + confirmed;
            arrived = empty_for > SURELY_EMPTY || (empty_for > EMPTY && all_ended);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    client.close().await;
    arrived
}

/// What is in a queue of this name is to come to an end elsewhere.
fn is_on_the_way(name: &str) -> bool {
    name != queue::DEAD && name != evidence::LISTENER
}

/// What lies where, exactly, once nobody takes anything any more.
async fn left(stage: &Stage) -> Vec<(String, u64)> {
    let client = stage.system.rabbit.client().await;
    let mut left = vec![
        ("the outbox".to_owned(), stage.system.outbox().await.unsigned_abs()),
        ("the table of events".to_owned(), evidence::untold(stage.system.ledger_pool()).await),
    ];
    for info in stage.system.rabbit.queues().await {
        if is_on_the_way(&info.name) {
            let count = u64::from(client.ready(&info.name).await);
            left.push((info.name, count));
        }
    }
    client.close().await;
    left
}
