//! The commands for the person on call.

use std::io::{self, BufWriter, IsTerminal as _, Write as _, stdin, stdout};

use amqp::Broker;
use anyhow::Context as _;
use platform::shutdown;

use crate::config::{DeadArgs, DeadCommand, DiscardArgs, ListArgs, QueueArgs, QueueCommand, RedriveArgs};
use crate::dead_letters::discard::Discard;
use crate::dead_letters::list::{self, Shown};
use crate::dead_letters::redrive as redriving;
use crate::queue_migration;
use crate::reading::Interrupted;

/// There is nobody to ask.
#[derive(Debug, thiserror::Error)]
#[error("`dead discard` asks on a terminal, and this is none: give --yes to throw {0} dead letters away")]
pub(super) struct NotConfirmed(usize);

#[allow(clippy::print_stdout, reason = "the output of a command for people")]
pub(super) async fn redrive(args: RedriveArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signals();
    let broker = Broker::new(args.broker.amqp_url, "email-worker redrive");
    let limit = if args.all { usize::MAX } else { args.limit };
    let done = redriving::redrive(&broker, &args.filter, limit, &stop).await?;
    println!("{} back on the queue", letters(done.letters));
    finished(done.interrupted)
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

/// What a command printed. `| head` has seen enough.
pub(super) fn printed(written: io::Result<()>) -> anyhow::Result<()> {
    match written.map_err(anyhow::Error::from) {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        written => written.context("printing"),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn discard(broker: &Broker, args: DiscardArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signals();
    let discard = Discard::prepare(broker, args.filter, &stop).await?;
    let result = confirmed(&discard, args.yes).await;
    discard.end().await;
    result
}

#[allow(clippy::print_stdout, reason = "the output of a command for people")]
async fn confirmed(discard: &Discard, yes: bool) -> anyhow::Result<()> {
    let meant = discard.count().await?;
    finished(meant.interrupted)?;
    if meant.letters > 0 && !yes && !agrees(meant.letters).await? {
        println!("nothing thrown away");
        return Ok(());
    }
    // Those that came since it was asked are not meant.
    let done = discard.execute(meant.letters).await?;
    println!("{} thrown away", letters(done.letters));
    finished(done.interrupted)
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

#[allow(clippy::print_stdout, reason = "the output of a command for people")]
pub(super) async fn queue(args: QueueArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signals();
    let broker = Broker::new(args.broker.amqp_url, "email-worker queue migrate");
    let QueueCommand::Migrate { queue } = args.command;
    let migrated = queue_migration::migrate(&broker, &queue, &stop).await?;
    finished(migrated.interrupted)?;
    let messages = migrated.messages;
    println!("{} is as it must be; {messages} message{} moved", queue.name(), if messages == 1 { "" } else { "s" });
    Ok(())
}

fn finished(interrupted: bool) -> anyhow::Result<()> {
    if interrupted { Err(Interrupted.into()) } else { Ok(()) }
}

fn letters(count: usize) -> String {
    format!("{count} dead letter{}", if count == 1 { "" } else { "s" })
}
