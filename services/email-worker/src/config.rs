//! The worker's configuration: environment variables alone. This file is their manual; `--help` prints it.

mod console;
mod contradictions;
mod dead_letters;
mod events;
mod mail;
mod mail_log;
mod mails;
mod sending;
mod suppressions;

use std::path::PathBuf;
use std::time::Duration;

use amqp::BrokerUrl;
use amqp::topology::{self, QueueSpec};
use clap::{Args, Parser, Subcommand, ValueEnum};
use platform::config::{BrokerArgs, CommonArgs, Contradiction, MigrateArgs, duration};

pub use self::console::{ConsoleConfig, ConsoleUrl, OidcArgs, ProxyArgs, SignInArgs};
pub use self::dead_letters::{
    DeadArgs, DeadCommand, DiscardArgs, HandlingArgs, JobsArgs, JobsCommand, ListArgs, RedriveArgs,
};
pub use self::events::EventArgs;
pub use self::mail::{MailArgs, MailConfigError, TransportKind};
pub use self::mail_log::{Find, MailLogArgs, MailLogCommand, MailLogCommandArgs};
pub use self::mails::{MailsArgs, MailsCommand, PreviewArgs, RenderArgs, SendTestArgs, SenderArgs, Shown, WhichArgs};
pub(crate) use self::sending::account;
pub use self::sending::{SendingArgs, SendingCommand};
pub use self::suppressions::{SuppressionArgs, SuppressionsArgs, SuppressionsCommand};
use crate::rate::Ceiling;
use crate::send::retry_schedule::RetrySchedule;

/// Takes mail tasks off the queue and sends each mail once, at the rate the mail server bears.
#[derive(Debug, Parser)]
#[command(name = "email-worker", version)]
pub enum Cli {
    /// Send mails until SIGTERM
    Run(Box<Config>),
    /// Bring the worker's database up to date, then exit
    Migrate(Box<MigrateArgs>),
    /// Put dead letters back on the queue
    Redrive(RedriveArgs),
    /// Look at the dead letters, or throw some away: `dead list`, `dead discard`
    Dead(DeadArgs),
    /// Redrives and discards in the background, which the console does: `jobs list`, `jobs stop`
    Jobs(JobsArgs),
    /// Put a queue right that exists with other arguments: `queue migrate`
    Queue(QueueArgs),
    /// Write mails of your own: `mails init`, `mails check`, `mails preview`, `mails render`, `mails send-test`
    Mails(MailsArgs),
    /// Addresses that get no mails: `suppressions list`, `add`, `remove`, `check`, `import`
    Suppressions(Box<SuppressionsArgs>),
    /// What became of mails: `mail-log find`
    MailLog(Box<MailLogCommandArgs>),
    /// Print the OpenAPI document of the console's API
    Openapi,
    /// Serve the console, a website and an API for those who run Sluice, until SIGTERM
    Console(Box<ConsoleConfig>),
    /// Pause the sending or slow it down, all of it, of a type, or to a domain: `sending show`, `pause`, `resume`, `limit`, `unlimit`,
    /// `history`
    Sending(Box<SendingArgs>),
}

/// What to do with a queue.
#[derive(Debug, Args)]
pub struct QueueArgs {
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// What to do.
    #[command(subcommand)]
    pub command: QueueCommand,
}

/// What to do with a queue.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Make a queue anew with the arguments that it must have, and keep its messages; stop its consumers and foreign
    /// producers first
    Migrate {
        /// The queue: email_queue, email_queue.dead or a retry queue such as email_queue.retry.5s
        #[arg(long, value_name = "NAME", default_value = contract::queue::EMAIL, value_parser = our_queue)]
        queue: QueueSpec,
    },
}

fn our_queue(name: &str) -> Result<QueueSpec, String> {
    topology::by_name(name).ok_or_else(|| "is none of email_queue, email_queue.dead, email_queue.retry.*".to_owned())
}

/// All settings of the worker.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// What both services have.
    #[command(flatten)]
    pub common: CommonArgs<CONNECTIONS>,
    /// How long a shutdown may take to finish mails that are being sent, at least SEND_TIMEOUT; shorter than the pod's grace
    /// period
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "70s", value_parser = duration, help_heading = "Process")]
    pub shutdown_grace: Duration,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// The mail and the way it goes.
    #[command(flatten)]
    pub mail: MailArgs,
    /// Directory with the files of mail types, such as a mounted ConfigMap; without it there are the built-in ones alone
    #[arg(long, env = "MAILS_DIR", help_heading = "Mail")]
    pub mails_dir: Option<PathBuf>,
    /// How much, how fast, how often.
    #[command(flatten)]
    pub flow: FlowArgs,
    /// Who gets no mails.
    #[command(flatten)]
    pub suppression: SuppressionArgs,
    /// What is kept of mails.
    #[command(flatten)]
    pub mail_log: MailLogArgs,
    /// What others are told of mails.
    #[command(flatten)]
    pub events: EventArgs,
}

impl Config {
    /// Settings that are right one by one and do not go together.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), Contradiction> {
        contradictions::first(self).map_or(Ok(()), |line| Err(Contradiction(line)))
    }
}

/// Connections that are never given back: claims, marks and the rate have one each. One more serves everything else.
const CONNECTIONS: u16 = 4;

/// How much, how fast, how often.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Flow")]
pub struct FlowArgs {
    /// Mails over the whole fleet at most: 14, 14/s, 600/m or 2000/h; 0 is unlimited. Where workers differ, the lowest holds
    #[arg(long, env = "MAIL_RATE", default_value_t = Ceiling::Unlimited)]
    pub mail_rate: Ceiling,
    /// Does the fleet learn what the mail server takes, below MAIL_RATE? off: a refusal is a mail's own
    #[arg(long, env = "MAIL_RATE_ADAPTS", default_value = "on")]
    pub mail_rate_adapts: Switch,
    /// Mails sent at once by one worker, each over a connection of its own
    #[arg(long, env = "SENDING_SLOTS", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub sending_slots: u16,
    /// The most tasks one worker holds, at least two for each slot; the prefetch follows the speed up to this [default: 256,
    /// or two for each slot]
    #[arg(long, env = "PREFETCH_MAX", value_parser = clap::value_parser!(u16).range(1..=10000))]
    pub prefetch_max: Option<u16>,
    /// How long a failed mail waits before each further attempt; the last wait is repeated
    #[arg(long, env = "MAIL_RETRY_SCHEDULE", alias = "MAIL_RETRY_LADDER", default_value = "5s,30s,2m,10m,1h")]
    pub retry_schedule: RetrySchedule,
    /// How long after its first failure a mail is given up
    #[arg(long, env = "MAIL_GIVE_UP_AFTER", default_value = "24h", value_parser = duration)]
    pub give_up_after: Duration,
    /// How long a worker may hold a task, SEND_TIMEOUT and SMTP_DATA_TIMEOUT included: what is left of it, a minute at
    /// least, it waits before it goes to the first retry queue; at most half of the broker's consumer_timeout
    #[arg(long, env = "HOLD_LIMIT", default_value = "15m", value_parser = duration)]
    pub hold_limit: Duration,
    /// Whether the broker has a policy that keeps what is returned to it often: RabbitMQ 4 drops it by itself
    #[arg(long, env = "DELIVERY_LIMIT_RAISED", default_value_t = false, action = clap::ArgAction::Set)]
    pub delivery_limit_raised: bool,
    /// How often a mail is sent again whose outcome nobody can know, before it is put aside
    #[arg(long, env = "MAIL_UNKNOWN_REPEATS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub unknown_repeats: u32,
    /// How long the ledger remembers a sent mail, at least MAIL_GIVE_UP_AFTER; older tasks are put aside, not sent
    #[arg(long, env = "LEDGER_RETENTION", default_value = "7d", value_parser = duration)]
    pub ledger_retention: Duration,
}

/// Tasks that a worker holds at most, unless it is set or has many slots.
const PREFETCH_MAX: u16 = 256;

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is done.
    On,
    /// It is not.
    Off,
}

impl FlowArgs {
    /// The most tasks that this worker holds.
    pub fn prefetch_max(&self) -> u16 {
        self.prefetch_max.unwrap_or(PREFETCH_MAX.max(2 * self.sending_slots))
    }

    /// Does the fleet learn what the mail server takes?
    pub fn adapts(&self) -> bool {
        self.mail_rate_adapts == Switch::On
    }
}
