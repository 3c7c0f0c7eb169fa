//! What commands share, and the one that puts a queue right.

use std::io;

use amqp::Broker;
use anyhow::Context as _;
use platform::shutdown;

use crate::config::{QueueArgs, QueueCommand};
use crate::queue_migration;
use crate::reading::Interrupted;

/// What a command printed. `| head` has seen enough.
pub(super) fn printed(written: io::Result<()>) -> anyhow::Result<()> {
    match written.map_err(anyhow::Error::from) {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        written => written.context("printing"),
    }
}

pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
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

pub(super) fn finished(interrupted: bool) -> anyhow::Result<()> {
    if interrupted { Err(Interrupted.into()) } else { Ok(()) }
}
