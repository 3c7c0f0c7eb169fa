//! What `keys` is told.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use contract::TypeName;
use platform::config::{Secret, database_url, duration};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::name::KeyName;

/// The database, and what to do.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// PostgreSQL of `serve`: postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    pub database_url: Secret,
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What to do with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// Lists all keys, without what makes them good
    List(ListArgs),
    /// Makes a key, and prints it once: it is kept nowhere
    Add(AddArgs),
    /// Revokes a key: it is refused everywhere within 5 seconds
    Revoke {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: KeyName,
    },
}

/// How keys are listed.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// As JSON, on one line
    #[arg(long)]
    pub json: bool,
}

/// The key to be made.
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// What it is called: letters, digits, . - and _, such as shop
    #[arg(value_name = "NAME")]
    pub name: KeyName,
    /// A type of mails that it may ask for; may be given several times; without it all types
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<TypeName>,
    /// How long it is good, such as 90days, or until when, such as 2027-01-31T00:00:00Z; without it until it is revoked
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<Expires>,
}

/// When a key is no longer good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expires {
    /// So long after it was made.
    In(Duration),
    /// Then.
    At(OffsetDateTime),
}

impl Expires {
    /// For a key that is made now. What is beyond all calendars is their end.
    pub fn after(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(at) => at,
            Self::In(time) => {
                let time = time::Duration::try_from(time).unwrap_or(time::Duration::MAX);
                now.checked_add(time).unwrap_or(time::UtcDateTime::MAX.into())
            }
        }
    }
}

impl FromStr for Expires {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = || OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC).map(Self::At);
        let time = duration(text).map(Self::In).ok().or_else(moment);
        time.ok_or("neither a time such as 90days nor a moment such as 2027-01-31T00:00:00Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_in_utc_too() {
        assert!("9999-12-31T23:59:59Z".parse::<Expires>().is_ok());
        assert!("9999-12-31T23:59:59-00:01".parse::<Expires>().is_err(), "the year 10000");
    }
}
