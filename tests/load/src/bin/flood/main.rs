//! `make flood`: what the product claims, shown on this machine with real servers, as figures and pictures.
//!
//! A figure that falls short is printed as such. The exit code is 1 where something was lost or sent twice, and 0 otherwise:
//! how fast a machine is decides nothing, what becomes of a mail does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers"
)]

mod capacity;
mod dam;
mod growth;
mod overload;
mod peer;
mod scale;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use load::Report;

use scale::Scale;

/// Shows what Sluice claims: any flood in, a calm stream out, nothing lost.
#[derive(Debug, Parser)]
#[command(name = "flood")]
struct Arguments {
    /// What to show; everything, if nothing is named
    #[arg(value_enum)]
    subjects: Vec<Subject>,
    /// A tenth of the length: to see that it runs, not for figures
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// 10,000 tasks a second for 30 s, while the mail server bears 2,000
    Dam,
    /// Registrations at up to three times what the service can hash
    Overload,
    /// A million tasks queued, a million in the outbox, a million users, five million mails remembered: the next four
    Growth,
    /// A million tasks in the queue, sent at full rate
    Queue,
    /// A million tasks in the outbox, left by a broker that was away
    Outbox,
    /// A million users
    Users,
    /// Five million mails in the ledger
    Ledger,
    /// The same work done by a plain service in Go, side by side (needs Go)
    Peer,
    /// What a registration and a mail cost each part, and whether what follows from that is so
    Capacity,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let subjects = chosen(&arguments.subjects);
    let scale = if arguments.quick { Scale::Tenth } else { Scale::Full };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut report = Report::new("flood");
    runtime.block_on(async {
        for subject in subjects {
            match subject {
                Subject::Dam => dam::run(&mut report, scale).await,
                Subject::Overload => overload::run(&mut report, scale).await,
                // Stands for the next four.
                Subject::Growth => {}
                Subject::Queue => growth::queued::run(&mut report, scale).await,
                Subject::Outbox => growth::outbox::run(&mut report, scale).await,
                Subject::Users => growth::users::run(&mut report, scale).await,
                Subject::Ledger => growth::ledger::run(&mut report, scale).await,
                Subject::Capacity => capacity::run(&mut report, scale).await,
                Subject::Peer => peer::run(&mut report, scale).await,
            }
            report.write();
        }
    });
    report.finish();
    if report.kept_promises() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is asked for, in the order in which it is shown; everything, if nothing is named.
fn chosen(named: &[Subject]) -> Vec<Subject> {
    use Subject::{Growth, Ledger, Outbox, Queue, Users};
    let is_growth = |subject: &Subject| matches!(subject, Queue | Outbox | Users | Ledger);
    let wanted = |subject: &&Subject| {
        named.is_empty() || named.contains(subject) || (named.contains(&Growth) && is_growth(subject))
    };
    Subject::value_variants().iter().filter(wanted).copied().collect()
}
