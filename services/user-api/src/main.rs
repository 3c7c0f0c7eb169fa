//! user-api: takes registrations over HTTP and relays their mail tasks to the queue.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use platform::config::{MigrateArgs, parse};
use platform::exit::{Exit, fail};
use platform::{postgres, service};
use user_api::app::App;
use user_api::config::{CheckArgs, Command, Config, ServeConfig};
use user_api::{NAME, check, db, openapi};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match parse::<Config>().command {
        Command::Serve(config) => Box::pin(serve(*config)).await,
        Command::Migrate(args) => Box::pin(migrate(*args)).await,
        Command::Openapi => print_openapi(),
        Command::Check(args) => check(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, Exit::of(&error)),
    }
}

async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    let log = config.common.log.clone();
    service::serve::<Config>(NAME, &log, async |stop| App::build(config).await?.run(stop).await).await
}

async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let migration = postgres::migrate_as_told(&args, "user-api migrate", &db::MIGRATOR);
    service::with_telemetry(NAME, &args.log, migration).await
}

fn print_openapi() -> anyhow::Result<()> {
    let document = openapi::generate().context("writing the OpenAPI document")?;
    std::io::stdout().write_all(document.as_bytes()).context("printing the OpenAPI document")
}

async fn check(args: CheckArgs) -> anyhow::Result<()> {
    let seen = check::check(&args.at, args.register.as_ref()).await?;
    let lines: String = seen.iter().map(|line| format!("ok {line}\n")).collect();
    std::io::stdout().write_all(lines.as_bytes()).context("printing what was seen")
}
