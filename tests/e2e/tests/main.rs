//! Sluice on a cluster. `SLUICE_E2E_CONTEXT` names the cluster, `SLUICE_E2E_VALUES` a file of values that names the images;
//! arguments choose subjects. See `scripts/e2e`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod boundaries;
mod broker_tls;
mod external;
mod faults;
mod foreign;
mod install;
mod keda;
mod kubectl_scale;
mod passwords;
mod three_nodes;
mod upgrades;
mod values;

use std::process::ExitCode;

use e2e::Run;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut run = match Run::start().await {
            Ok(run) => run,
            Err(line) => return refuse(&line),
        };
        let all = async {
            run.subject("install", install::tests).await;
            run.subject("keda", keda::tests).await;
            run.subject("kubectl scale", kubectl_scale::tests).await;
            run.subject("values", values::tests).await;
            run.subject("boundaries", boundaries::tests).await;
            run.subject("faults", faults::tests).await;
            run.subject("upgrades", upgrades::tests).await;
            run.subject("passwords", passwords::tests).await;
            run.subject("foreign", foreign::tests).await;
            run.subject("external", external::tests).await;
            run.subject("broker tls", broker_tls::tests).await;
            run.subject("three nodes", three_nodes::tests).await;
        };
        // Whoever interrupts it gets the namespaces deleted all the same: what is dropped here drops them.
        let mut asked_to_end = signal(SignalKind::terminate()).expect("signals can be heard");
        tokio::select! {
            () = all => {}
            _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
            _ = asked_to_end.recv() => return ExitCode::from(143),
        }
        if run.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

#[allow(clippy::print_stderr, reason = "why nothing was run")]
fn refuse(line: &str) -> ExitCode {
    eprintln!("e2e: {line}");
    ExitCode::from(64)
}
