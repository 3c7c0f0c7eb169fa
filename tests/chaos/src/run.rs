//! One seed: set up, break, heal, wait, reconcile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::queue;
use futures_util::future::join_all;

use crate::report::{self, Row};
use crate::schedule::{Fault, Victim, schedule};
use crate::stage::Stage;
use crate::{evidence, load, verdict};

/// How long after the last fault everything may take to arrive.
const DRAIN: Duration = Duration::from_secs(120);
/// The broker's numbers may be a second or two old: what is empty stays empty for this long.
const EMPTY: Duration = Duration::from_secs(3);

/// What a seed came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) passed: bool,
    pub(crate) rows: Vec<Row>,
}

pub(crate) async fn run(seed: u64, time: Duration) -> Outcome {
    let began = Instant::now();
    println!("seed {seed}           starting PostgreSQL, RabbitMQ, the mail server and two of each service ..");
    let stage = Arc::new(Stage::set_up(seed, &load::refused(seed, time)).await);
    let set_up = began.elapsed();
    println!("seed {seed}     0.0 s  everything runs, after {:.1} s", set_up.as_secs_f64());

    let mut victims: BTreeMap<Victim, Vec<Fault>> = BTreeMap::new();
    for fault in schedule(seed, time) {
        victims.entry(fault.victim).or_default().push(fault);
    }
    let registering = tokio::spawn(load::register(stage.clone(), time));
    let publishing = tokio::spawn(load::publish(stage.clone(), time));
    join_all(victims.values().map(|faults| stage.play(faults))).await;
    println!("seed {seed}  {:>6.1} s  everything is healed", stage.clock.now());
    let (answers, published) = (registering.await.unwrap(), publishing.await.unwrap());
    let left = drained(&stage).await;
    println!("seed {seed}  {:>6.1} s  what was on its way has arrived", stage.clock.now());

    let facts = evidence::collect(&stage, &answers, published, left).await;
    let verdict = verdict::judge(&facts);
    report::write_logs(&stage, &facts);
    report::summary(&stage, &facts, &answers, &verdict).await;
    Outcome { passed: verdict.faults.is_empty(), rows: report::rows(seed, &facts, &answers, &verdict) }
}

/// Waits until nothing is on its way; returns what still is when the time is up.
async fn drained(stage: &Stage) -> Vec<(String, u64)> {
    let deadline = Instant::now() + DRAIN;
    let mut empty_since: Option<Instant> = None;
    loop {
        let queues = stage.system.rabbit.queues().await;
        let mut left: Vec<(String, u64)> =
            queues.into_iter().filter(|info| info.name != queue::DEAD).map(|info| (info.name, info.total)).collect();
        left.push(("the outbox".to_owned(), stage.system.outbox().await.unsigned_abs()));
        if left.iter().any(|(_, count)| *count > 0) {
            empty_since = None;
        } else if empty_since.get_or_insert_with(Instant::now).elapsed() > EMPTY {
            return left;
        }
        if Instant::now() > deadline {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
