//! `make chaos`: the whole system at steady load, with faults from a seeded schedule; then every task is looked for by its id.
//!
//! What breaks and what is checked: `docs/chaos.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers"
)]

mod checker;
mod copies;
mod dice;
mod evidence;
mod facts;
mod load;
mod options;
mod report;
mod run;
mod schedule;
mod stage;
mod windows;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use options::Options;
use stage::lock;

/// Systems that run beside each other: what two cores bear.
const SIDE_BY_SIDE: usize = 2;

fn main() -> ExitCode {
    // Short enough to be typed again.
    let chance =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| u64::from(now.subsec_micros()));
    let options = match Options::read(|name| std::env::var(name).ok(), chance) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            return ExitCode::from(64);
        }
    };
    let passed = all(&options);
    testkit::stop_everything();
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all(options: &Options) -> bool {
    let began = Instant::now();
    let seeds: Vec<String> = options.seeds.iter().map(u64::to_string).collect();
    let word = if seeds.len() == 1 { "seed" } else { "seeds" };
    println!("chaos: {} of faults for {word} {}", options::text(options.time), seeds.join(", "));
    let (waiting, outcomes) = (Mutex::new(options.seeds.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(options.seeds.len()) {
            scope.spawn(|| {
                loop {
                    let Some(seed) = lock(&waiting).next() else { return };
                    let outcome = one(*seed, options.time);
                    lock(&outcomes).push((*seed, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|(seed, _)| *seed);
    let failed: Vec<u64> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.as_ref().is_none_or(|outcome| !outcome.passed))
        .map(|(seed, _)| *seed)
        .collect();
    if outcomes.len() > 1 {
        let closings: Vec<_> =
            outcomes.iter().map(|(seed, outcome)| (*seed, outcome.as_ref().map(|outcome| outcome.closing))).collect();
        println!("{}", report::closing(&closings));
    }
    let rows: Vec<_> =
        outcomes.into_iter().filter_map(|(_, outcome)| outcome).flat_map(|outcome| outcome.rows).collect();
    report::write_results(&rows, &failed);
    println!(
        "{} of {} seeds passed, in {:.0} s",
        seeds.len() - failed.len(),
        seeds.len(),
        began.elapsed().as_secs_f64()
    );
    for seed in &failed {
        println!("failed; again: make chaos SEED={seed} TIME={}", options::text(options.time));
    }
    failed.is_empty()
}

/// A seed with threads of its own; `None` where the run broke off.
fn one(seed: u64, time: Duration) -> Option<run::Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let run = || runtime.block_on(run::run(seed, time));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).ok();
    if outcome.is_none() {
        println!("seed {seed}  the run broke off: see above");
    }
    outcome
}
