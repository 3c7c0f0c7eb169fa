//! The variables of `email-worker console`.

use std::time::Duration;

use amqp::BrokerUrl;
use clap::Args;
use platform::config::{BrokerArgs, CommonArgs, Contradiction, Secret, duration};
use web::HttpArgs;

use super::SuppressionArgs;
use crate::console::Tokens;
use crate::send::retry_schedule::RetrySchedule;

/// Connections to the database that it needs.
const CONNECTIONS: u16 = 2;

/// A website for those who run Sluice, and the same as an API.
#[derive(Debug, Clone, Args)]
pub struct ConsoleConfig {
    /// What all services have.
    #[command(flatten)]
    pub common: CommonArgs<CONNECTIONS>,
    /// How long a shutdown may take to finish requests
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration, help_heading = "Process")]
    pub shutdown_grace: Duration,
    /// Where it is served.
    #[command(flatten)]
    pub http: HttpArgs,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// What addresses are hashed with.
    #[command(flatten)]
    pub suppression: SuppressionArgs,
    /// The delays of the workers, whose queues are shown
    #[arg(long, env = "MAIL_RETRY_SCHEDULE", default_value = "5s,30s,2m,10m,1h", help_heading = "Broker")]
    pub retry_schedule: RetrySchedule,
    /// Who is let in.
    #[command(flatten)]
    pub sign_in: SignInArgs,
}

/// Who is let in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing in")]
pub struct SignInArgs {
    /// NAME=viewer:TOKEN or NAME=operator:TOKEN, separated by commas or line breaks; a viewer looks, an operator acts too. For the
    /// website and, as bearer tokens, for the API. Without any HTTP_ADDR must be of this machine alone, and everybody there is an operator
    #[arg(long, env = "CONSOLE_TOKENS", hide_env_values = true, default_value = "", hide_default_value = true)]
    pub console_tokens: Tokens,
    /// Secret that seals sessions, at least 32 characters, the same for all replicas; when not set, sessions end with the process
    #[arg(long, env = "CONSOLE_SECRET", hide_env_values = true, value_parser = long_secret)]
    pub console_secret: Option<Secret>,
}

impl ConsoleConfig {
    /// Settings that are right one by one and do not go together.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), Contradiction> {
        let open = self.sign_in.console_tokens.is_empty() && !self.http.http_addr.ip().is_loopback();
        let open = (
            open,
            "HTTP_ADDR can be reached by others, and nobody has to sign in: set CONSOLE_TOKENS, or HTTP_ADDR=127.0.0.1:8080",
        );
        let all = self.http.contradictions().into_iter().chain([open]);
        let first = all.into_iter().find(|(is_so, _)| *is_so);
        first.map_or(Ok(()), |(_, line)| Err(Contradiction(line.to_owned())))
    }
}

fn long_secret(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.chars().count() < 32 {
        return Err("has fewer than 32 characters: make one with `openssl rand -hex 32`");
    }
    Ok(Secret::from(text.to_owned()))
}
