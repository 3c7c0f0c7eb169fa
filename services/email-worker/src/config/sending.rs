//! The arguments of `email-worker sending`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use contract::TypeName;
use platform::config::{Secret, database_url, duration};

use crate::controls::{By, Scope};
use crate::rate::Ceiling;

/// Pauses and limits of the fleet.
#[derive(Debug, Args)]
pub struct SendingArgs {
    /// PostgreSQL: postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    pub database_url: Secret,
    /// What to do.
    #[command(subcommand)]
    pub command: SendingCommand,
}

/// What to do with the sending.
#[derive(Debug, Subcommand)]
pub enum SendingCommand {
    /// What is paused and limited at the moment, by whom and why
    Show {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Send no mails until `resume`: all workers hold within two seconds, also those that start later. Mails under way are
    /// finished, none is lost, and none loses an attempt
    Pause {
        /// Which mails; not given: all.
        #[command(flatten)]
        which: WhichMails,
        /// Who, why, for how long.
        #[command(flatten)]
        by: TemporaryArgs,
    },
    /// Send again; exits with 1 if it was not paused
    Resume {
        /// Which mails; not given: the pause of all.
        #[command(flatten)]
        which: WhichMails,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
    /// Send at most so many mails, over the whole fleet, in place of MAIL_RATE
    Limit {
        /// 14, 14/s, 600/m or 2000/h; 0 is unlimited
        #[arg(value_name = "RATE")]
        rate: Ceiling,
        /// And so many at once in one worker, of a type or to a domain
        #[arg(long, value_name = "N", requires = "which", value_parser = clap::value_parser!(u16).range(1..=1000))]
        at_once: Option<u16>,
        /// Which mails; not given: all.
        #[command(flatten)]
        which: WhichMails,
        /// Who, why, for how long.
        #[command(flatten)]
        by: TemporaryArgs,
    },
    /// What MAIL_RATE says holds again; exits with 1 if there was no limit
    Unlimit {
        /// Which mails; not given: the limit of all.
        #[command(flatten)]
        which: WhichMails,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
    /// Have all workers close their circuit, within two seconds: you know that the mail server is well again. Where it is not, the circuit
    /// opens again with the next mail
    CloseCircuit {
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Who did what, the latest first
    History {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Only in the last so long, such as 2h or 3d
        #[arg(long, value_name = "AGE", value_parser = duration)]
        since: Option<Duration>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// Which mails are meant; neither: all.
#[derive(Debug, Clone, Args)]
#[group(skip)]
#[command(group(ArgGroup::new("which").multiple(false)))]
pub struct WhichMails {
    /// Only mails of this type, such as shop.receipt
    #[arg(long = "type", value_name = "TYPE", group = "which")]
    pub mail_type: Option<TypeName>,
    /// Only mails to this domain, such as gmail.com
    #[arg(long, value_name = "DOMAIN", group = "which", value_parser = Scope::domain)]
    pub domain: Option<Scope>,
}

impl WhichMails {
    /// As a scope.
    pub fn scope(self) -> Scope {
        match (self.mail_type, self.domain) {
            (Some(mail_type), _) => Scope::Type(mail_type),
            (None, Some(domain)) => domain,
            (None, None) => Scope::Fleet,
        }
    }
}

/// Who asks, and why: both stand in the history.
#[derive(Debug, Clone, Args)]
pub struct ByArgs {
    /// Who you are [default: $SLUICE_OPERATOR, or the name of this account]
    #[arg(long, value_name = "NAME", value_parser = line)]
    pub by: Option<String>,
    /// Why, for the others
    #[arg(long, value_name = "TEXT", default_value = "no reason given", value_parser = line)]
    pub reason: String,
}

/// Who asks, why, and for how long.
#[derive(Debug, Clone, Args)]
pub struct TemporaryArgs {
    /// Who and why.
    #[command(flatten)]
    pub by: ByArgs,
    /// It ends by itself after so long, such as 30m
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasts: Option<Duration>,
}

impl From<ByArgs> for By {
    fn from(args: ByArgs) -> Self {
        Self { operator: args.by.unwrap_or_else(account), reason: args.reason, lasts: None }
    }
}

impl From<TemporaryArgs> for By {
    fn from(args: TemporaryArgs) -> Self {
        Self { lasts: args.lasts, ..args.by.into() }
    }
}

/// Whose terminal it is, as far as the environment tells.
pub(crate) fn account() -> String {
    let named = |variable: &str| std::env::var(variable).ok().filter(|name| !name.trim().is_empty());
    ["SLUICE_OPERATOR", "SUDO_USER", "USER", "LOGNAME", "HOSTNAME"]
        .into_iter()
        .find_map(named)
        .unwrap_or_else(|| "unknown".to_owned())
}

/// It is shown in a table, and rests in the database: one line, and no address of a person.
pub(super) fn line(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or("not a line of 1 to 200 characters")
}
