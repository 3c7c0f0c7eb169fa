//! `user-api serve` on an allocator that counts. Everything else is as in the service itself.

use std::alloc::System;

use platform::{shutdown, telemetry};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use user_api::app::App;
use user_api::config::{Command, Config, ServeConfig};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    let Command::Serve(config) = platform::config::parse::<Config>().command else {
        anyhow::bail!("only `serve` is counted")
    };
    costs::runtime().block_on(Box::pin(run(*config)))
}

async fn run(config: ServeConfig) -> anyhow::Result<()> {
    costs::answer_counts(&INSTRUMENTED_SYSTEM);
    let telemetry = telemetry::init("user-api", &config.common.log)?;
    Box::pin(App::build(config).await?.run(shutdown::on_signals())).await?;
    telemetry.shutdown().await;
    Ok(())
}
