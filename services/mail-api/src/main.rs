//! mail-api: the way in for other applications.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use mail_api::app::{self, App};
use mail_api::config::{Command, Config, RelayConfig, SchemaArgs};
use platform::config::parse;
use platform::exit::{Exit, fail};
use platform::service;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match parse::<Config>().command {
        Command::Relay(config) => Box::pin(relay(*config)).await,
        Command::Schema(args) => print_schema(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, Exit::of(&error)),
    }
}

async fn relay(config: RelayConfig) -> anyhow::Result<()> {
    let log = config.common.log.clone();
    service::serve::<Config>(app::NAME, &log, async |stop| App::build(config).await?.run(stop).await).await
}

fn print_schema(args: SchemaArgs) -> anyhow::Result<()> {
    let sql = outbox::schema::sql(&args.options());
    std::io::stdout().write_all(sql.as_bytes()).context("printing the SQL")
}
