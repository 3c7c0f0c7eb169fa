//! `email-worker run` on an allocator that counts. Everything else is as in the service itself.

use std::alloc::System;

use email_worker::app::App;
use email_worker::config::{Cli, Config};
use platform::{shutdown, telemetry};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    let Cli::Run(config) = platform::config::parse::<Cli>() else { anyhow::bail!("only `run` is counted") };
    costs::runtime().block_on(Box::pin(run(*config)))
}

async fn run(config: Config) -> anyhow::Result<()> {
    costs::answer_counts(&INSTRUMENTED_SYSTEM);
    let telemetry = telemetry::init("email-worker", &config.common.log)?;
    Box::pin(App::build(config).await?.run(shutdown::on_signals())).await?;
    telemetry.shutdown().await;
    Ok(())
}
