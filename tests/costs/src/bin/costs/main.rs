//! `costs instructions` (`make instructions`): the release builds of both services, measured from outside by callgrind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers: whatever fails ends the measurement, loudly"
)]

mod instructions;
mod metrics;
mod path;
mod valgrind;

use clap::Parser;

/// What one mail and one registration cost.
#[derive(Debug, Parser)]
enum Costs {
    /// Counts instructions by callgrind
    Instructions(instructions::Arguments),
    /// Sends mails one after the other: what the test of instructions runs under callgrind
    Path(path::Arguments),
    /// Measures what is measured of mails, and sends none
    Metrics(metrics::Arguments),
}

fn main() {
    match Costs::parse() {
        Costs::Instructions(arguments) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.unwrap().block_on(instructions::run(arguments));
        }
        Costs::Path(arguments) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(path::run(arguments));
        }
        Costs::Metrics(arguments) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(metrics::run(arguments));
        }
    }
}
