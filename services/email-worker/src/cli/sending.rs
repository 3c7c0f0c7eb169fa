//! The commands that pause and limit the fleet.

use std::io::{BufWriter, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use platform::postgres::{self, Statement};
use sqlx::PgPool;

use super::commands::printed;
use super::mails::print;
use crate::config::{SendingArgs, SendingCommand};
use crate::controls::store::{Actions, Clear, CloseCircuits, Done, Read, Set};
use crate::controls::{Ask, By, Kind, MOST, Scope, paper};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// There are as many as there may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "more than {MOST} queues would be needed, one for each type and domain that is paused or limited and one for each pair of them: \
     end one first (`email-worker sending show` lists them)"
)]
pub(super) struct TooMany;

/// Exits with 1 where there was nothing to end.
pub(super) async fn sending(args: SendingArgs) -> anyhow::Result<ExitCode> {
    let SendingArgs { database_url, command } = args;
    let sending = Sending(postgres::pool(&database_url, 1, "email-worker sending")?);
    match command {
        SendingCommand::Show { json } => sending.show(json).await,
        SendingCommand::Pause { which, by } => sending.set(which.scope(), Ask::Pause, by.into()).await,
        SendingCommand::Limit { rate, at_once, which, by } => {
            sending.set(which.scope(), Ask::Limit { rate, at_once }, by.into()).await
        }
        SendingCommand::Resume { which, by } => sending.clear(Kind::Pause, which.scope(), by.into()).await,
        SendingCommand::Unlimit { which, by } => sending.clear(Kind::Limit, which.scope(), by.into()).await,
        SendingCommand::CloseCircuit { by, json } => sending.close_circuit(by.into(), json).await,
        SendingCommand::History { limit, since, json } => sending.history(limit, since, json).await,
    }
}

struct Sending(PgPool);

impl Sending {
    async fn ask<S: Statement>(&self, statement: &S) -> anyhow::Result<S::Answer> {
        let answer = postgres::ask(&self.0, statement, ANSWER_WITHIN).await;
        answer.context("asking the database of DATABASE_URL about pauses and limits")
    }

    async fn show(&self, json: bool) -> anyhow::Result<ExitCode> {
        let controls = self.ask(&Read).await?;
        let out = BufWriter::new(stdout());
        printed(if json { paper::lines(out, &controls) } else { paper::table(out, &controls) })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn set(&self, scope: Scope, ask: Ask, by: By) -> anyhow::Result<ExitCode> {
        let says = match ask {
            Ask::Pause => format!("{scope}: paused"),
            Ask::Limit { rate, .. } => format!("{scope}: limited to {rate}"),
        };
        match self.ask(&Set { scope, ask, by }).await? {
            Done::Set => print(&format!("{says}; workers follow within two seconds\n"))?,
            Done::TooMany => return Err(TooMany.into()),
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn clear(&self, kind: Kind, scope: Scope, by: By) -> anyhow::Result<ExitCode> {
        let was = self.ask(&Clear { kind, scope: scope.clone(), by }).await?;
        let (done, not) = match kind {
            Kind::Pause => ("goes on; workers follow within two seconds", "was not paused"),
            Kind::Limit => ("not limited any more; workers follow within two seconds", "was not limited"),
        };
        print(&format!("{scope}: {}\n", if was { done } else { not }))?;
        Ok(if was { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn close_circuit(&self, by: By, json: bool) -> anyhow::Result<ExitCode> {
        self.ask(&CloseCircuits { by }).await?;
        let says = "the circuit of each worker is closed within two seconds\n";
        print(if json { "{\"done\":true}\n" } else { says })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn history(&self, limit: u32, since: Option<Duration>, json: bool) -> anyhow::Result<ExitCode> {
        let actions = self.ask(&Actions { limit: i64::from(limit), since }).await?;
        let out = BufWriter::new(stdout());
        printed(if json { paper::history_lines(out, &actions) } else { paper::history(out, &actions) })?;
        Ok(ExitCode::SUCCESS)
    }
}
