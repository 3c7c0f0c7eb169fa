//! mail-api: the way in for other applications.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use mail_api::app::App;
use mail_api::config::{Command, Config, RelayConfig, SchemaArgs};
use platform::config::{parse, warn_of_names};
use platform::exit::{Exit, report};
use platform::{shutdown, telemetry};

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

fn fail(error: &anyhow::Error, code: Exit) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", report(error));
    code.into()
}

async fn relay(config: RelayConfig) -> anyhow::Result<()> {
    let telemetry = telemetry::init("mail-api", &config.common.log)?;
    warn_of_names::<Config>();
    let token = shutdown::on_signals();
    let done = match App::build(config).await {
        Ok(app) => Box::pin(app.run(token)).await,
        Err(error) => Err(error),
    };
    telemetry.shutdown().await;
    done
}

fn print_schema(args: SchemaArgs) -> anyhow::Result<()> {
    let sql = outbox::schema::sql(&args.options());
    std::io::stdout().write_all(sql.as_bytes()).context("printing the SQL")
}
