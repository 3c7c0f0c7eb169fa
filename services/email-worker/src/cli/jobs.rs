//! The commands for what the console does in the background.

use std::io::{BufWriter, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use platform::postgres::{self, Statement};
use sqlx::PgPool;

use super::commands::printed;
use super::mails::print;
use crate::config::{JobsArgs, JobsCommand};
use crate::controls::By;
use crate::dead_letters::jobs::{List, Stop, paper};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Exits with 1 where there was nothing to stop.
pub(super) async fn jobs(args: JobsArgs) -> anyhow::Result<ExitCode> {
    let pool = postgres::pool(&args.database_url, 1, "email-worker jobs")?;
    match args.command {
        JobsCommand::List { limit, json } => {
            let jobs = ask(&pool, &List { limit: i64::from(limit) }).await?;
            let out = BufWriter::new(stdout());
            printed(if json { paper::lines(out, &jobs) } else { paper::table(out, &jobs) })?;
            Ok(ExitCode::SUCCESS)
        }
        JobsCommand::Stop { id, by } => {
            let By { operator, reason, .. } = by.into();
            let stopped = ask(&pool, &Stop { id, operator: &operator, reason: &reason }).await?;
            print(&format!("job {id} {}\n", if stopped { "ends" } else { "is not under way" }))?;
            Ok(if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

async fn ask<S: Statement>(pool: &PgPool, statement: &S) -> anyhow::Result<S::Answer> {
    postgres::ask(pool, statement, ANSWER_WITHIN).await.context("asking the database of DATABASE_URL about jobs")
}
