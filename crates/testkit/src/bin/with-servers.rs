//! `with-servers COMMAND..`: starts one PostgreSQL and one RabbitMQ, tells where they are in the environment, runs the command, and
//! stops them. The tests below share them then, over all their processes. Exits as the command does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a tool for tests, and its usage"
)]

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Postgres, Rabbit};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
usage: with-servers [--] COMMAND [ARGUMENT..]

Starts a private PostgreSQL and a private RabbitMQ, runs the command, and stops them. It exits as the command does:
127 if there is no such command, 64 without one.

The command finds them by these variables:
  SLUICE_TEST_POSTGRES             URL of the database server
  SLUICE_TEST_RABBITMQ             address of the broker, AMQP
  SLUICE_TEST_RABBITMQ_MANAGEMENT  address of its management API

Such as: with-servers cargo test --workspace";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "--help" || first == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let mut arguments = std::env::args_os().skip(1).skip_while(|argument| argument == "--");
    let Some(program) = arguments.next() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    // Ctrl-C reaches the command by itself: we wait for its end, and clear up.
    let mut interrupts = signal(SignalKind::interrupt()).expect("catching SIGINT");
    let mut terminations = signal(SignalKind::terminate()).expect("catching SIGTERM");
    let starting = async { tokio::join!(Postgres::start_fast(), Rabbit::start()) };
    let (postgres, rabbit) = tokio::select! {
        servers = starting => servers,
        _ = interrupts.recv() => return stopped(130),
        _ = terminations.recv() => return stopped(143),
    };
    let (amqp, management) = rabbit.addresses();
    let mut command = std::process::Command::new(&program);
    command.args(arguments);
    command.env("SLUICE_TEST_POSTGRES", postgres.url());
    command.env("SLUICE_TEST_RABBITMQ", amqp).env("SLUICE_TEST_RABBITMQ_MANAGEMENT", management);
    testkit::mark(&mut command);
    let mut command = match tokio::process::Command::from(command).spawn() {
        Ok(command) => command,
        Err(error) => {
            eprintln!("with-servers: {}: {error}", program.display());
            return stopped(127);
        }
    };
    let status = loop {
        tokio::select! {
            status = command.wait() => break status.expect("waiting for the command"),
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {
                let pid = command.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
        }
    };
    drop((postgres, rabbit));
    stopped(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

fn stopped(code: i32) -> ExitCode {
    testkit::stop_everything();
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
