//! `make bench`: measures both services against real servers on this machine, prints a table, writes
//! `target/bench/results.json`.
//!
//! Every goal is a ratio of figures taken in the same run, or a figure that the machine hardly moves: on a noisy machine an
//! absolute time means little. A figure that falls short is printed as such; the exit code stays 0, since a benchmark
//! judges nothing that a test should.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers"
)]

mod bare;
mod console;
mod mail_types;
mod registration;
mod relay;
mod size;
mod worker;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use load::Report;

/// Measures both services against real servers on this machine.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure; everything, if nothing is named
    #[arg(value_enum)]
    subjects: Vec<Subject>,
    /// An email-worker of another build, which sends the built-in mail in turns with this one's
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// What a registration costs, beside the hash alone
    Registration,
    /// What a mail costs, beside bare SMTP clients
    Worker,
    /// What the mail log costs a mail
    MailLog,
    /// What events cost a mail
    Events,
    /// What a mail of an own type costs, beside the built-in one
    MailTypes,
    /// How fast a relay empties an application's outbox, beside user-api's
    Relay,
    /// How soon the console answers with five million mails and 200,000 dead letters, and what a redrive of all costs
    Console,
    /// How soon the services are ready, and how much memory they take
    Size,
}

fn main() {
    // The bare SMTP client is measured as a process of its own: its CPU time must not mix with the mail sink's.
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("bare-smtp-client") {
        return bare::client(&arguments.collect::<Vec<_>>());
    }
    let Arguments { subjects, before } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut report = Report::new("bench");
    runtime.block_on(async {
        let wanted = |subject| subjects.is_empty() || subjects.contains(&subject);
        if wanted(Subject::Registration) {
            registration::run(&mut report).await;
        }
        if wanted(Subject::Worker) {
            worker::run(&mut report).await;
        }
        if wanted(Subject::MailLog) {
            worker::mail_log(&mut report).await;
        }
        if wanted(Subject::Events) {
            worker::events(&mut report).await;
        }
        if wanted(Subject::MailTypes) {
            mail_types::run(&mut report, before.as_deref()).await;
        }
        if wanted(Subject::Relay) {
            relay::run(&mut report).await;
        }
        if wanted(Subject::Console) {
            console::run(&mut report).await;
        }
        if wanted(Subject::Size) {
            size::run(&mut report).await;
        }
    });
    report.finish();
}
