//! `costs instructions` (`make instructions`): the release builds of both services, measured from outside by callgrind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers: whatever fails ends the measurement, loudly"
)]

mod instructions;
mod valgrind;

use clap::Parser;

/// What one mail and one registration cost, and where the time goes.
#[derive(Debug, Parser)]
enum Costs {
    /// Counts instructions by callgrind
    Instructions(instructions::Arguments),
}

#[tokio::main]
async fn main() {
    match Costs::parse() {
        Costs::Instructions(arguments) => instructions::run(arguments).await,
    }
}
