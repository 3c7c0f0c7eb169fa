//! The arguments of `email-worker redrive`, `dead` and `jobs`.

use amqp::BrokerUrl;
use clap::{ArgGroup, Args, Subcommand};
use platform::config::{BrokerArgs, Secret, database_url};

use super::sending::{ByArgs, account, line};
use crate::controls::By;
use crate::dead_letters::Filter;

/// Which dead letters to put back.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// Which ones.
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many, oldest first
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "id")]
    pub limit: usize,
    /// However many they are
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// How it is done and told.
    #[command(flatten)]
    pub handling: HandlingArgs,
}

/// How many letters are moved or thrown away, and where that is written down.
#[derive(Debug, Args)]
pub struct HandlingArgs {
    /// Leave it to the console, which goes on when this terminal is closed: prints the number of the job. Needs --all or a choice
    #[arg(long)]
    pub background: bool,
    /// With --background: letters a second, at most
    #[arg(long, value_name = "N", default_value_t = 500, requires = "background",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub per_second: u32,
    /// The worker's database, which has the history of what was done: without it nothing is written down
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    pub database_url: Option<Secret>,
    /// Who you are, for the history [default: $SLUICE_OPERATOR, or the name of this account]
    #[arg(long, value_name = "NAME", value_parser = line)]
    pub by: Option<String>,
    /// Why, for the others
    #[arg(long, value_name = "TEXT", default_value = "no reason given", value_parser = line)]
    pub why: String,
    /// Print what was done as a JSON object
    #[arg(long)]
    pub json: bool,
}

impl HandlingArgs {
    /// Who asks, and why.
    pub fn by(&self) -> By {
        let operator = self.by.clone().unwrap_or_else(account);
        By { operator, reason: self.why.clone(), lasts: None }
    }
}

/// What to do with the dead letters.
#[derive(Debug, Args)]
pub struct DeadArgs {
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// What to do.
    #[command(subcommand)]
    pub command: DeadCommand,
}

/// What to do with the dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List them, oldest first: id, reason, age, attempts; they stay where they are
    List(ListArgs),
    /// Throw them away: asks first on a terminal, wants --yes elsewhere
    Discard(DiscardArgs),
}

/// Which dead letters to show, and how.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which ones.
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Without the first so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: usize,
    /// Show the addresses too; they are personal data
    #[arg(long)]
    pub addresses: bool,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Only how many there are, by reason
    #[arg(long, conflicts_with_all = ["limit", "offset", "addresses"])]
    pub count: bool,
}

/// Which dead letters to throw away.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true)
    .args(["id", "reasons", "kinds", "domains", "since", "older_than", "all"]))]
pub struct DiscardArgs {
    /// Which ones.
    #[command(flatten)]
    pub filter: Filter,
    /// All of them
    #[arg(long, conflicts_with_all = ["id", "reasons", "kinds", "domains", "since", "older_than"])]
    pub all: bool,
    /// Without asking
    #[arg(long)]
    pub yes: bool,
    /// How it is done and told.
    #[command(flatten)]
    pub handling: HandlingArgs,
}

/// Redrives and discards in the background.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// The worker's database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    pub database_url: Secret,
    /// What to do.
    #[command(subcommand)]
    pub command: JobsCommand,
}

/// What to do with the jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// How far they are, those that are under way first
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// End one before it is done; exits with 1 if it had ended
    Stop {
        /// Its number
        #[arg(value_name = "NUMBER")]
        id: i64,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
}
