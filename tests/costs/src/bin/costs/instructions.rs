//! Instructions a mail and a registration, as callgrind counts them.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use costs::{Mails, Users};
use system::{Measured, own_types};

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
    /// Of what; without it everything
    #[arg(long, value_enum)]
    only: Vec<Unit>,
    /// The services' OTEL_METRICS_EXPORTER
    #[arg(long, default_value = "otlp,prometheus")]
    metrics: String,
    /// How often
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unit {
    /// A mail of the built-in type
    BuiltIn,
    /// A mail of the same words, of an own type with a layout
    Layout,
    /// A mail of the type that `mails init` writes
    Init,
    /// A registration
    Registration,
}

pub(crate) async fn run(arguments: Arguments) {
    let services = Services { folder: arguments.services.as_path(), metrics: &arguments.metrics };
    let (short, long) = (arguments.units[0], arguments.units[1]);
    assert!(short < long, "the second number of units is the larger one");
    let all = Unit::value_variants();
    for _ in 0..arguments.rounds {
        for unit in all.iter().filter(|unit| arguments.only.is_empty() || arguments.only.contains(unit)) {
            let each =
                (counted(*unit, services, long).await - counted(*unit, services, short).await) / (long - short) as f64;
            let what = unit.to_possible_value().and_then(|value| Some(value.get_help()?.to_string()));
            println!("{each:>9.0} instructions: {}", what.unwrap_or_default());
        }
    }
}

async fn counted(unit: Unit, services: Services<'_>, count: usize) -> f64 {
    match unit {
        Unit::BuiltIn => mails(Measured::BuiltIn, services, count).await,
        Unit::Layout => mails(Measured::Layout, services, count).await,
        Unit::Init => mails(Measured::Starter, services, count).await,
        Unit::Registration => registrations(services, count).await,
    }
}

fn out(name: &str) -> PathBuf {
    system::results::folder("costs").join(format!("{name}.callgrind"))
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Services<'a> {
    folder: &'a Path,
    metrics: &'a str,
}

impl Services<'_> {
    fn start(self, name: &str, environment: &[(&str, String)]) -> Valgrind {
        let environment = [environment, &[("OTEL_METRICS_EXPORTER", self.metrics.to_owned())]].concat();
        Valgrind::start("callgrind", &self.folder.join(name), &environment, &out(name))
    }
}

async fn mails(measured: Measured, services: Services<'_>, count: usize) -> f64 {
    let mails = Mails::start().await;
    let types = own_types();
    // All at once, so that the worker always finds as many as it can take: its batches must not depend on how fast we publish.
    mails.publish(count, measured).await;
    let mut variables = mails.environment();
    variables.extend((measured != Measured::BuiltIn).then(|| ("MAILS_DIR", types.path().display().to_string())));
    let worker = services.start("email-worker", &variables);
    mails.sent(count).await;
    total(&worker.finish().await)
}

async fn registrations(services: Services<'_>, count: usize) -> f64 {
    let users = Users::start().await;
    let api = services.start("user-api", &users.environment());
    users.ready(&api.base_url()).await;
    users.register(&api.base_url(), 0, count).await;
    total(&api.finish().await)
}

/// All instructions of a run.
fn total(callgrind: &str) -> f64 {
    let line = callgrind.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    line.expect("callgrind tells a total").trim().parse().unwrap()
}
