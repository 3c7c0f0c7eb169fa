//! Sluice on a cluster. `SLUICE_E2E_CONTEXT` names the cluster, `SLUICE_E2E_VALUES` a file of values that names the images;
//! arguments choose subjects. See `scripts/e2e`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod boundaries;
mod broker_tls;
mod console;
mod external;
mod faults;
mod foreign;
mod install;
mod keda;
mod kubectl_scale;
mod mail_api;
mod mails;
mod passwords;
mod three_nodes;
mod upgrades;
mod values;

use std::process::ExitCode;

use e2e::Suite;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut suite = match Suite::new().await {
            Ok(suite) => suite,
            Err(line) => return refuse(&line),
        };
        // The long ones first: what is left at the end runs alone.
        suite.subject("install", install::tests);
        suite.subject("three nodes", three_nodes::tests);
        suite.subject("faults", faults::tests);
        suite.subject("keda", keda::tests);
        suite.subject("passwords", passwords::tests);
        suite.subject("upgrades", upgrades::tests);
        suite.subject("external", external::tests);
        suite.subject("kubectl scale", kubectl_scale::tests);
        suite.subject("boundaries", boundaries::tests);
        suite.subject("broker tls", broker_tls::tests);
        suite.subject("foreign", foreign::tests);
        suite.subject("values", values::tests);
        // Whoever interrupts it gets the namespaces deleted all the same: what is dropped here drops them.
        let mut asked_to_end = signal(SignalKind::terminate()).expect("signals can be heard");
        tokio::select! {
            all_well = suite.run() => if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE },
            _ = tokio::signal::ctrl_c() => ExitCode::from(130),
            _ = asked_to_end.recv() => ExitCode::from(143),
        }
    })
}

#[allow(clippy::print_stderr, reason = "why nothing was run")]
fn refuse(line: &str) -> ExitCode {
    eprintln!("e2e: {line}");
    ExitCode::from(64)
}
