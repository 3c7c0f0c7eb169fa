//! `email-worker`: takes mail tasks off the queue and sends each mail once.

use std::process::ExitCode;

use email_worker::cli;
use email_worker::config::Cli;

fn main() -> ExitCode {
    cli::execute(platform::config::parse::<Cli>())
}
