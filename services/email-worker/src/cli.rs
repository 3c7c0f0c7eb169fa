//! The commands of the binary, and what each exits with.

mod commands;
mod dead_letters;
mod jobs;
mod mail_log;
mod mails;
mod sending;
mod suppressions;

use std::process::ExitCode;

use amqp::topology::TopologyError;
use anyhow::Context as _;
use platform::config::MigrateArgs;
use platform::exit::{Exit, fail};
use platform::{postgres, service};

use crate::app::App;
use crate::config::MailConfigError;
use crate::config::{Cli, Config, ConsoleConfig};
use crate::console::{self, Console};
use crate::consumer::ConsumerError;
use crate::ledger::MIGRATOR;
use crate::queue_migration::{Consumed, Lost};
use crate::reading::Interrupted;
use dead_letters::{Choice, NoDatabase, NotConfirmed};
use mail::MailTypesRefused;

/// What telemetry calls it.
const NAME: &str = "email-worker";

/// Runs the command and says how it went: 0, or one line on stderr and the code that goes with it.
pub fn execute(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("start the runtime"), Exit::Software),
    };
    let result = runtime.block_on(async {
        match cli {
            // Those whose answer may be no.
            Cli::Suppressions(args) => return suppressions::suppressions(*args).await,
            Cli::MailLog(args) => return mail_log::mail_log(*args).await,
            Cli::Sending(args) => return sending::sending(*args).await,
            Cli::Jobs(args) => return jobs::jobs(args).await,
            Cli::Console(config) => Box::pin(console(*config)).await,
            Cli::Openapi => openapi(),
            Cli::Run(config) => Box::pin(run(*config)).await,
            Cli::Migrate(args) => migrate(*args).await,
            Cli::Redrive(args) => dead_letters::redrive(args).await,
            Cli::Dead(args) => dead_letters::dead(args).await,
            Cli::Queue(args) => commands::queue(args).await,
            Cli::Mails(args) => mails::mails(args).await,
        }
        .map(|()| ExitCode::SUCCESS)
    });
    match result {
        Ok(code) => code,
        Err(error) => fail(&error, code(&error)),
    }
}

/// A queue that is not what it must be is a matter of configuration, a crash is ours.
fn code(error: &anyhow::Error) -> Exit {
    if error.is::<MailConfigError>() {
        return Exit::Usage;
    }
    if error.is::<NotConfirmed>()
        || error.is::<NoDatabase>()
        || error.is::<Choice>()
        || error.is::<suppressions::NoKey>()
        || error.is::<sending::TooMany>()
    {
        return Exit::Usage;
    }
    if error.is::<mails::NotRight>() {
        return Exit::Data;
    }
    if error.is::<Interrupted>() {
        return Exit::Interrupted;
    }
    if error.is::<Consumed>() || error.is::<TopologyError>() || error.is::<MailTypesRefused>() {
        return Exit::Config;
    }
    if error.is::<Lost>() {
        return Exit::Software;
    }
    match error.downcast_ref::<ConsumerError>() {
        Some(ConsumerError::Topology(_)) => Exit::Config,
        Some(ConsumerError::Crashed(_)) => Exit::Software,
        None => Exit::of(error),
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let log = config.common.log.clone();
    service::serve::<Cli>(NAME, &log, async |stop| App::build(config).await?.run(stop).await).await
}

async fn console(config: ConsoleConfig) -> anyhow::Result<()> {
    let log = config.common.log.clone();
    service::serve::<Cli>(console::NAME, &log, async |stop| Console::build(config).await?.run(stop).await).await
}

fn openapi() -> anyhow::Result<()> {
    mails::print(&console::openapi::generate().context("writing the OpenAPI document")?)
}

async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    service::with_telemetry(NAME, &args.log, postgres::migrate_as_told(&args, "email-worker migrate", &MIGRATOR)).await
}

#[cfg(test)]
mod tests {
    use platform::tasks::Tasks;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn a_background_task_that_crashes_is_a_fault_of_our_own() {
        let mut tasks = Tasks::breaking("publisher");
        tasks.spawn("publisher", async {});
        let stop = CancellationToken::new();
        let ended = tasks.guard(&stop, stop.cancelled()).await.expect_err("a task panicked");
        assert_eq!(code(&ended.into()), Exit::Software);
    }
}
