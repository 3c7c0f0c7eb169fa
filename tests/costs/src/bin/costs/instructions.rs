//! Instructions a mail and a registration, as callgrind counts them.

use std::path::{Path, PathBuf};

use clap::Args;
use costs::{Mails, Users};

use crate::valgrind::Valgrind;

/// How much is counted.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Units of the short run and of the long run; what both have in common drops out
    #[arg(long, num_args = 2, default_values_t = [1_000, 4_000])]
    units: Vec<usize>,
    /// Where the release builds of the services lie
    #[arg(long, default_value = "target/release")]
    services: PathBuf,
    /// How often
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

pub(crate) async fn run(arguments: Arguments) {
    let services = arguments.services.as_path();
    let (short, long) = (arguments.units[0], arguments.units[1]);
    assert!(short < long, "the second number of units is the larger one");
    for _ in 0..arguments.rounds {
        let mail = (mails(services, long).await - mails(services, short).await) / (long - short) as f64;
        let registration =
            (registrations(services, long).await - registrations(services, short).await) / (long - short) as f64;
        println!("instructions a mail {mail:>9.0}, a registration {registration:>9.0}");
    }
}

fn out(name: &str) -> PathBuf {
    system::results::folder("costs").join(format!("{name}.callgrind"))
}

async fn mails(services: &Path, count: usize) -> f64 {
    let mails = Mails::start().await;
    // All at once, so that the worker always finds as many as it can take: its batches must not depend on how fast we publish.
    mails.publish(count).await;
    let worker =
        Valgrind::start("callgrind", &services.join("email-worker"), &mails.environment(), &out("email-worker"));
    mails.sent(count).await;
    total(&worker.finish().await)
}

async fn registrations(services: &Path, count: usize) -> f64 {
    let users = Users::start().await;
    let api = Valgrind::start("callgrind", &services.join("user-api"), &users.environment(), &out("user-api"));
    users.ready(&api.base_url()).await;
    users.register(&api.base_url(), 0, count).await;
    total(&api.finish().await)
}

/// All instructions of a run.
fn total(callgrind: &str) -> f64 {
    let line = callgrind.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    line.expect("callgrind tells a total").trim().parse().unwrap()
}
