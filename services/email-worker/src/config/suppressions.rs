//! The variables about suppressions, and the arguments of `email-worker suppressions`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use contract::EmailAddress;
use platform::config::{Secret, database_url, duration};

use crate::suppressions::{AddressKey, AddressKeys};

/// Addresses that get no mails, since a mail server does not know them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Suppressions")]
pub struct SuppressionArgs {
    /// Secret to hash addresses with that get no mails any more, at least 32 characters, the same for all workers; when not set no
    /// address is remembered, and none suppressed
    #[arg(long, env = "ADDRESS_HASH_KEY", hide_env_values = true)]
    pub address_hash_key: Option<AddressKey>,
    /// The secret before it, for SUPPRESSION_TTL after a change: what was hashed with it still holds
    #[arg(long, env = "ADDRESS_HASH_KEY_OLD", hide_env_values = true)]
    pub address_hash_key_old: Option<AddressKey>,
    /// How long an address is suppressed
    #[arg(long, env = "SUPPRESSION_TTL", default_value = "180d", value_parser = duration)]
    pub suppression_ttl: Duration,
}

impl SuppressionArgs {
    /// What addresses are hashed with; `None`: nothing is remembered.
    pub fn keys(&self) -> Option<AddressKeys> {
        Some(AddressKeys::new(self.address_hash_key.clone()?, self.address_hash_key_old.clone()))
    }
}

/// What to do with suppressions.
#[derive(Debug, Args)]
pub struct SuppressionsArgs {
    /// PostgreSQL: postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    pub database_url: Secret,
    /// Keys, and for how long.
    #[command(flatten)]
    pub suppression: SuppressionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: SuppressionsCommand,
}

/// What to do with suppressions.
#[derive(Debug, Subcommand)]
pub enum SuppressionsCommand {
    /// List them, the latest first: hash, reason, since, until, source; no address can be told from its hash
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Suppress an address
    Add {
        /// The address
        address: EmailAddress,
        /// For how long, such as 30d; SUPPRESSION_TTL when not set
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
        /// Why, for whoever lists them; not the address
        #[arg(long, default_value = "added", value_parser = reason)]
        reason: String,
    },
    /// Let an address have mails again; exits with 1 if it was not suppressed
    Remove {
        /// The address
        address: EmailAddress,
    },
    /// Is an address suppressed? Exits with 0 if it is, with 1 if not
    Check {
        /// The address
        address: EmailAddress,
    },
    /// Suppress the addresses of a file, one a line; exits with 65 and names each line that is none
    Import {
        /// The file, or - for what is piped in. Empty lines and what follows a # at the beginning of a line are left out
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// For how long, such as 30d; SUPPRESSION_TTL when not set
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
        /// Why, for whoever lists them
        #[arg(long, default_value = "imported", value_parser = reason)]
        reason: String,
    },
}

/// It is shown in a table, and rests in the database.
fn reason(text: &str) -> Result<String, &'static str> {
    let fits = !text.trim().is_empty()
        && text.chars().count() <= 100
        && !text.contains('@')
        && !text.chars().any(char::is_control);
    fits.then(|| text.trim().to_owned()).ok_or("not a reason of 1 to 100 characters on one line, without an address")
}
