//! What `serve` needs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amqp::BrokerUrl;
use clap::Args;
use outbox::RelayArgs;
use platform::config::{BrokerArgs, CommonArgs, Contradiction, duration};
use web::{HttpArgs, Quotas};

use crate::asked::LARGEST_BATCH;
use crate::db::RecipientLimit;
use crate::keys::{Doors, Keyring};

/// What `serve` needs.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// The HTTP server.
    #[command(flatten)]
    pub http: HttpArgs,
    /// How much may be asked for.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Directory with the files of mail types, as the workers have it: types and their required fields are then checked before a mail is taken
    #[arg(long, env = "MAILS_DIR", help_heading = "Mails")]
    pub mails_dir: Option<PathBuf>,
    /// Serves also while there is no API key that is good, and refuses everybody until there is one; without it that ends the process
    #[arg(long, env = "START_WITHOUT_KEYS", default_value_t = false, action = clap::ArgAction::Set, help_heading = "Process")]
    pub start_without_keys: bool,
    /// How tasks get into the queue.
    #[command(flatten)]
    pub relay: RelayArgs,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// What all services have.
    #[command(flatten)]
    pub common: CommonArgs<1>,
    /// How long a shutdown may take to finish requests that are under way; shorter than the pod's grace period
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration, help_heading = "Process")]
    pub shutdown_grace: Duration,
}

/// How much may be asked for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Mails that one API key may ask for per window, of each replica; a batch has no more at once; 0 = any number
    #[arg(long, env = "KEY_RATE_LIMIT", default_value_t = 6000)]
    pub key_rate_limit: u32,
    /// The window of KEY_RATE_LIMIT
    #[arg(long, env = "KEY_RATE_LIMIT_WINDOW", default_value = "1m", value_parser = duration)]
    pub key_rate_limit_window: Duration,
    /// Mails that one recipient gets per window, whoever asks for them; what stands behind a + in an address makes no other recipient; 0 = any number
    #[arg(long, env = "RECIPIENT_LIMIT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub recipient_limit: u32,
    /// The window of RECIPIENT_LIMIT
    #[arg(long, env = "RECIPIENT_LIMIT_WINDOW", default_value = "1h", value_parser = duration)]
    pub recipient_limit_window: Duration,
}

impl ServeConfig {
    /// Variables that are right one by one and do not go together.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), Contradiction> {
        let limits = &self.limits;
        let own = [
            (self.shutdown_grace.is_zero(), "SHUTDOWN_GRACE is 0s: each end would cut off what is under way"),
            (
                limits.key_rate_limit > 0 && limits.key_rate_limit_window.is_zero(),
                "KEY_RATE_LIMIT_WINDOW is 0s and KEY_RATE_LIMIT is not: set KEY_RATE_LIMIT=0 for no limit",
            ),
            (
                limits.recipient_limit > 0 && limits.recipient_limit_window.is_zero(),
                "RECIPIENT_LIMIT_WINDOW is 0s and RECIPIENT_LIMIT is not: set RECIPIENT_LIMIT=0 for no limit",
            ),
        ];
        Contradiction::first(own.into_iter().chain(self.http.contradictions()).chain(self.relay.contradictions()))
    }

    /// Who may come in, with no key known yet.
    pub fn doors(&self) -> Doors {
        let quotas = Quotas::new("key", self.limits.key_rate_limit, self.limits.key_rate_limit_window);
        Doors { keys: Keyring::new(self.start_without_keys), quotas: quotas.map(Arc::new) }
    }

    /// What one recipient gets.
    pub fn recipient_limit(&self) -> RecipientLimit {
        RecipientLimit { quota: self.limits.recipient_limit, window: self.limits.recipient_limit_window }
    }

    /// What is more could never be taken.
    pub fn largest_batch(&self) -> usize {
        match usize::try_from(self.limits.key_rate_limit) {
            Ok(limit @ 1..) => limit.min(LARGEST_BATCH),
            _ => LARGEST_BATCH,
        }
    }
}
