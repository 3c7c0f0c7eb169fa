//! The commands for dead letters.

use std::io::{BufWriter, IsTerminal as _, Write as _, stdin, stdout};
use std::time::Duration;

use amqp::Broker;
use anyhow::Context as _;
use platform::{postgres, shutdown};
use serde_json::json;

use super::commands::{finished, is_closed_pipe};
use super::mails::print;
use crate::config::{DeadArgs, DeadCommand, DiscardArgs, HandlingArgs, ListArgs, RedriveArgs};
use crate::controls::By;
use crate::controls::store::Record;
use crate::dead_letters::discard::Discard;
use crate::dead_letters::jobs::{Action, Ask};
use crate::dead_letters::list::{self, Shown};
use crate::dead_letters::{Done, Filter, redrive as redriving};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// There is nobody to ask.
#[derive(Debug, thiserror::Error)]
#[error("`dead discard` asks on a terminal, and this is none: give --yes to throw {0} dead letters away")]
pub(super) struct NotConfirmed(usize);

/// A job is a row.
#[derive(Debug, thiserror::Error)]
#[error("--background: a job is written into the worker's database, and DATABASE_URL is not set")]
pub(super) struct NoDatabase;

/// In the background nobody counts.
#[derive(Debug, thiserror::Error)]
#[error("--background: say which letters are meant (--reason, --type, --domain, --since, ..), or --all of them")]
pub(super) struct Choice;

pub(super) async fn redrive(args: RedriveArgs) -> anyhow::Result<()> {
    let RedriveArgs { broker, filter, limit, all, handling } = args;
    let stop = shutdown::on_signals();
    let broker = Broker::new(broker.amqp_url, "email-worker redrive");
    let handling = Handling::new(Action::Redrive, &filter, handling);
    if handling.args.background {
        if filter.is_all() && !all {
            return Err(Choice.into());
        }
        return handling.in_background(&broker).await;
    }
    let done = redriving::redrive(&broker, &filter, if all { usize::MAX } else { limit }, &stop).await?;
    handling.told(done, "back on the queue").await
}

pub(super) async fn dead(args: DeadArgs) -> anyhow::Result<()> {
    let broker = Broker::new(args.broker.amqp_url, "email-worker dead");
    match args.command {
        DeadCommand::List(args) => list(&broker, args).await,
        DeadCommand::Discard(args) => discard(&broker, args).await,
    }
}

async fn list(broker: &Broker, args: ListArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signals();
    let ListArgs { filter, limit, offset, addresses, json, count } = args;
    let shown = Shown { limit, offset, addresses, json, count };
    match list::list(broker, &filter, shown, BufWriter::new(stdout()), &stop).await {
        Ok(done) => finished(done.interrupted),
        // `| head` has seen enough.
        Err(error) if is_closed_pipe(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn discard(broker: &Broker, args: DiscardArgs) -> anyhow::Result<()> {
    let DiscardArgs { filter, all: _, yes, handling } = args;
    let stop = shutdown::on_signals();
    let handling = Handling::new(Action::Discard, &filter, handling);
    let discard = Discard::prepare(broker, filter, &stop).await?;
    let result = confirmed(&discard, yes, &handling).await;
    discard.end().await;
    result
}

async fn confirmed(discard: &Discard, yes: bool, handling: &Handling) -> anyhow::Result<()> {
    let meant = discard.count().await?;
    finished(meant.interrupted)?;
    if meant.letters > 0 && !yes && !agrees(meant.letters).await? {
        return print("nothing thrown away\n");
    }
    if handling.args.background {
        return handling.ask(meant.letters).await;
    }
    // Those that came since it was asked are not meant.
    let done = discard.execute(meant.letters).await?;
    handling.told(done, "thrown away").await
}

#[allow(clippy::print_stdout, reason = "a question")]
async fn agrees(count: usize) -> anyhow::Result<bool> {
    if !stdin().is_terminal() {
        return Err(NotConfirmed(count).into());
    }
    print!("Throw {} away for good? [y/N] ", letters(count));
    stdout().flush()?;
    let answer = tokio::task::spawn_blocking(|| stdin().lines().next().transpose()).await??;
    Ok(answer.is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes")))
}

/// What is done to letters, by whom, and how that is told.
struct Handling {
    action: Action,
    filter: Filter,
    by: By,
    args: HandlingArgs,
}

impl Handling {
    fn new(action: Action, filter: &Filter, args: HandlingArgs) -> Self {
        Self { action, filter: filter.clone(), by: args.by(), args }
    }

    /// Says what was done, and writes it into the history where there is one. It is done: a database that is away is worth a warning.
    #[allow(clippy::print_stderr, reason = "a warning of a command")]
    async fn told(&self, done: Done, what: &str) -> anyhow::Result<()> {
        let (count, json) = (done.letters, self.args.json);
        let line = json!({ "action": self.action.slug(), "letters": count, "interrupted": done.interrupted });
        print(&if json { format!("{line}\n") } else { format!("{} {what}\n", letters(count)) })?;
        if let Some(url) = self.args.database_url.as_ref().filter(|_| count > 0) {
            let detail = format!("{}: {count} done, {}", self.filter, self.by.reason);
            let (operator, action) = (self.by.operator.as_str(), self.action.slug());
            let done = Record { operator, action, object: "dead-letters", detail: &detail };
            let written = async {
                postgres::ask(&postgres::pool(url, 1, "email-worker dead")?, &done, ANSWER_WITHIN)
                    .await
                    .map_err(anyhow::Error::from)
            };
            if let Err(error) = written.await {
                eprintln!("warning: it is done, and not in the history of DATABASE_URL: {error:#}");
            }
        }
        finished(done.interrupted)
    }

    /// Counts what is meant, and leaves it to the console.
    async fn in_background(&self, broker: &Broker) -> anyhow::Result<()> {
        let stop = shutdown::on_signals();
        let counting = Discard::prepare(broker, self.filter.clone(), &stop).await?;
        let meant = counting.count().await;
        counting.end().await;
        let meant = meant?;
        finished(meant.interrupted)?;
        self.ask(meant.letters).await
    }

    async fn ask(&self, meant: usize) -> anyhow::Result<()> {
        let url = self.args.database_url.as_ref().ok_or(NoDatabase)?;
        let pool = postgres::pool(url, 1, "email-worker dead")?;
        let job = Ask {
            action: self.action,
            filter: &self.filter,
            meant: i64::try_from(meant).unwrap_or(i64::MAX),
            per_second: self.args.per_second,
            operator: &self.by.operator,
            reason: &self.by.reason,
        };
        let id = postgres::ask(&pool, &job, ANSWER_WITHIN)
            .await
            .context("writing the job into the database of DATABASE_URL")?;
        let line = json!({ "job": id, "action": self.action.slug(), "meant": meant });
        let (action, many) = (self.action, letters(meant));
        print(&if self.args.json {
            format!("{line}\n")
        } else {
            format!("job {id}: {action} {many}; the console does it, `email-worker jobs list` says how far it is\n")
        })
    }
}

fn letters(count: usize) -> String {
    format!("{count} dead letter{}", if count == 1 { "" } else { "s" })
}
