//! mail-api: the way in for other applications.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use mail_api::app::App;
use mail_api::config::{Command, Config, KeysArgs, RelayConfig, ServeConfig};
use mail_api::keys::commands::{NotMigrated, Refused};
use mail_api::keys::{self, NoKeys};
use mail_api::serve::Serve;
use mail_api::{NAME, check, db, openapi};
use platform::config::{MigrateArgs, parse};
use platform::exit::{Exit, fail};
use platform::{postgres, service};
use web::check::CheckArgs;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match parse::<Config>().command {
        Command::Relay(config) => Box::pin(relay(*config)).await,
        Command::Schema(args) => print(&outbox::schema::sql(&args.options())),
        Command::Serve(config) => Box::pin(serve(*config)).await,
        Command::Migrate(args) => Box::pin(migrate(*args)).await,
        Command::Keys(args) => Box::pin(keys(args)).await,
        Command::Openapi => print_openapi(),
        Command::Check(args) => check(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, exit(&error)),
    }
}

fn exit(error: &anyhow::Error) -> Exit {
    if error.is::<NoKeys>() || error.is::<NotMigrated>() || error.is::<mail::MailTypesRefused>() {
        return Exit::Config;
    }
    if error.is::<Refused>() {
        return Exit::Usage;
    }
    Exit::of(error)
}

async fn relay(config: RelayConfig) -> anyhow::Result<()> {
    let log = config.common.log.clone();
    service::serve::<Config>(NAME, &log, async |stop| App::build(config).await?.run(stop).await).await
}

async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    let log = config.common.log.clone();
    service::serve::<Config>(NAME, &log, async |stop| Serve::build(config).await?.run(stop).await).await
}

async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let migration = postgres::migrate_as_told(&args, "mail-api migrate", &db::MIGRATOR);
    service::with_telemetry(NAME, &args.log, migration).await
}

async fn keys(args: KeysArgs) -> anyhow::Result<()> {
    let pool = postgres::pool(&args.database_url, 1, "mail-api keys")?;
    keys::commands::run(&pool, args.command, std::io::stdout()).await
}

async fn check(args: CheckArgs) -> anyhow::Result<()> {
    let seen = check::check(&args).await?;
    print(&seen.iter().map(|line| format!("ok {line}\n")).collect::<String>())
}

fn print_openapi() -> anyhow::Result<()> {
    print(&openapi::generate().context("writing the OpenAPI document")?)
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("printing it")
}
