//! user-api: takes registrations over HTTP and relays their mail tasks to the queue.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use platform::config::{MigrateArgs, parse, warn_of_names};
use platform::exit::{Exit, report};
use platform::{postgres, shutdown, telemetry};
use user_api::app::App;
use user_api::config::{CheckArgs, Command, Config, ServeConfig};
use user_api::{check, db, openapi};

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

fn fail(error: &anyhow::Error, code: Exit) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", report(error));
    code.into()
}

async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    let telemetry = telemetry::init("user-api", &config.common.log)?;
    warn_of_names::<Config>();
    let token = shutdown::on_signals();
    let done = match App::build(config).await {
        Ok(app) => Box::pin(app.run(token)).await,
        Err(error) => Err(error),
    };
    telemetry.shutdown().await;
    done
}

async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let telemetry = telemetry::init("user-api", &args.log)?;
    let done = postgres::migrate_as_told(&args, "user-api migrate", &db::MIGRATOR).await;
    telemetry.shutdown().await;
    done
}

fn print_openapi() -> anyhow::Result<()> {
    let document = openapi::generate().context("writing the OpenAPI document")?;
    std::io::stdout().write_all(document.as_bytes()).context("printing the OpenAPI document")
}

async fn check(args: CheckArgs) -> anyhow::Result<()> {
    let seen = check::check(&args.url, args.register.as_ref(), args.wait).await?;
    let lines: String = seen.iter().map(|line| format!("ok {line}\n")).collect();
    std::io::stdout().write_all(lines.as_bytes()).context("printing what was seen")
}
