//! The peer: the plain service that a tutorial has (benches/peer), on the same servers, in turns with ours; and jobs in
//! PostgreSQL, as far as the worker goes.

mod losses;
mod mails;
mod registrations;
mod river;
mod side;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use load::{Report, Servers};

use crate::scale::Scale;
use side::{Ours, Peer};

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    let Some(program) = build() else {
        report.note("the plain service could not be built: nothing to compare with");
        return;
    };
    report.measuring("the plain service beside ours");
    let servers = Servers::start().await;
    let ours = Ours::new(&servers).await;
    let peer = Peer::new(&servers, program.clone()).await;
    let memory = registrations::run(report, &ours, &peer, scale).await;
    mails::run(report, &servers, &ours, &peer, memory, scale).await;
    losses::run(report, &servers, &ours, &peer, scale).await;
    report.measuring("jobs in PostgreSQL (River) beside ours");
    river::run(report, &servers, &program, scale).await;
}

/// Builds it, and tells where its program is; `None`, having said why, where that cannot be done.
fn build() -> Option<PathBuf> {
    let built = Command::new("scripts/peer").stderr(Stdio::inherit()).output();
    let output =
        built.inspect_err(|error| eprintln!("running scripts/peer, in the repository's root: {error}")).ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}
