//! `make profile`: where the time goes in both services at full rate, as flame graphs and as shares of what they do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers"
)]

mod perf;
mod shares;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use load::{Registrations, Servers};
use system::results;
use testkit::Service;

use perf::Recording;
use shares::Shares;

/// How long each service is watched.
const LENGTH: Duration = Duration::from_secs(20);
/// Until connections are open and batches have found their size.
const WARM: Duration = Duration::from_secs(3);
/// Tasks that wait for the worker: more than any machine sends meanwhile.
const TASKS: usize = 600_000;
/// Clients that register, each again as soon as it is answered.
const CLIENTS: usize = 32;

/// Watches both services at full rate: flame graphs, and shares of their time, in target/profile.
#[derive(Debug, Parser)]
#[command(name = "profile")]
struct Arguments {}

fn main() -> ExitCode {
    Arguments::parse();
    if !perf::is_here() {
        eprintln!("profile: perf is missing: install it (Debian: linux-perf), then try again");
        return ExitCode::from(69);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        worker().await;
        api().await;
    });
    ExitCode::SUCCESS
}

/// The worker with a queue that does not run dry, and a mail server that takes everything at once.
async fn worker() {
    eprintln!("publishing {TASKS} tasks ..");
    let servers = Servers::start().await;
    servers.publish(TASKS).await;
    let worker = servers.worker(&[]);
    worker.ready().await;
    tokio::time::sleep(WARM).await;
    let mails = servers.smtp.counts().mails;
    let recording = record("email-worker", &worker).await;
    let sent = servers.smtp.counts().mails - mails;
    let all = usize::try_from(servers.smtp.counts().mails).unwrap();
    assert!(all < TASKS, "the queue ran dry: the rest of the recording shows nothing");
    tell("email-worker", &format!("{:.0} mails/s", sent as f64 / LENGTH.as_secs_f64()), &recording);
    worker.kill();
}

/// user-api with a hash that costs next to nothing: beside the real one nothing else would show.
async fn api() {
    let servers = Servers::start().await;
    let api = servers.api(&[("HASH_COST", "cheap")]).await;
    let client = Registrations::at(&api.base_url());
    let mut asked = 0;
    let asking = async {
        loop {
            client.accept_all(&format!("profile-{asked}"), 1_000, CLIENTS).await;
            asked += 1;
        }
    };
    let watching = async {
        tokio::time::sleep(WARM).await;
        record("user-api", &api).await
    };
    let recording = tokio::select! {
        recording = watching => recording,
        () = asking => unreachable!("it goes on for ever"),
    };
    let rate = f64::from(asked) * 1e3 / (WARM + LENGTH).as_secs_f64();
    tell("user-api", &format!("about {rate:.0} registrations/s"), &recording);
    api.kill();
}

async fn record(name: &str, service: &Service) -> Recording {
    eprintln!("watching {name} for {} s ..", LENGTH.as_secs());
    perf::record(service.pid(), LENGTH, &results::folder("profile").join(name)).await
}

/// Draws the flame graph and prints the shares.
fn tell(name: &str, rate: &str, recording: &Recording) {
    let picture = results::folder("profile").join(format!("{name}.svg"));
    recording.draw(&format!("{name} at full rate ({rate})"), &picture);
    println!("\n{name}, {rate}\n\n{}", Shares::of(recording.stacks()));
    println!("drawn in {}", picture.display());
}
