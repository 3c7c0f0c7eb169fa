//! The variables of the mail log, and the arguments of `email-worker mail-log`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use contract::{EmailAddress, TaskId};
use platform::config::{Secret, database_url, duration};

use super::SuppressionArgs;
use crate::mail_log::{Mode, trace_of_digits};

/// What became of each mail, for whoever asks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mail log")]
pub struct MailLogArgs {
    /// What is kept of mails: full, every one; failures, those that did not go out at the first attempt; off, nothing
    #[arg(long, env = "MAIL_LOG", value_enum, hide_possible_values = true, default_value = "full")]
    pub mail_log: Mode,
    /// For how long
    #[arg(long, env = "MAIL_LOG_RETENTION", default_value = "30d", value_parser = days)]
    pub mail_log_retention: Duration,
    /// Who this worker is in the log; Kubernetes sets it to the pod's name
    #[arg(long, env = "HOSTNAME", default_value = "worker")]
    pub hostname: String,
}

/// What became of mails.
#[derive(Debug, Args)]
pub struct MailLogCommandArgs {
    /// PostgreSQL: postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    pub database_url: Secret,
    /// What addresses are hashed with.
    #[command(flatten)]
    pub suppression: SuppressionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: MailLogCommand,
}

/// What to do with the mail log.
#[derive(Debug, Subcommand)]
pub enum MailLogCommand {
    /// What became of a mail? Exits with 1 where nothing is known of it
    Find(Find),
}

/// Which mails.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(ArgGroup::new("which").required(true)))]
pub struct Find {
    /// The id of its task: what POST /v1/mails answered, or the log and the dead letters name
    #[arg(long, group = "which", value_parser = task_id)]
    pub id: Option<TaskId>,
    /// All mails to this address; needs ADDRESS_HASH_KEY
    #[arg(long, group = "which")]
    pub address: Option<EmailAddress>,
    /// All mails of this trace: 32 hexadecimal digits
    #[arg(long, group = "which", value_parser = trace_id)]
    pub trace: Option<[u8; 16]>,
    /// At most so many mails, the latest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Partitions are of a day.
fn days(text: &str) -> Result<Duration, String> {
    let keep = duration(text).map_err(|error| error.to_string())?;
    if keep < Duration::from_secs(24 * 3600) {
        return Err("is shorter than a day".to_owned());
    }
    Ok(keep)
}

#[allow(clippy::unnecessary_wraps, reason = "clap asks for it")]
fn task_id(text: &str) -> Result<TaskId, std::convert::Infallible> {
    Ok(TaskId::from_message_id(text.trim()))
}

fn trace_id(text: &str) -> Result<[u8; 16], &'static str> {
    trace_of_digits(text.trim()).ok_or("is no trace id of 32 hexadecimal digits")
}
