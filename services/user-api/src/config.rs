//! Configuration: the environment, and nothing else.

mod contradictions;

use std::time::Duration;

use amqp::BrokerUrl;
use clap::{Args, Parser, Subcommand};
use outbox::RelayArgs;
use platform::config::{BrokerArgs, CommonArgs, Contradiction, MigrateArgs, duration};
use web::HttpArgs;

use crate::check;
use crate::cors::Origin;
use crate::hashing::HashCost;

/// Takes registrations over HTTP and relays their mail tasks to the queue.
#[derive(Debug, Parser)]
#[command(name = "user-api", version)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves the API
    Serve(Box<ServeConfig>),
    /// Brings the database up to date, and ends
    Migrate(Box<MigrateArgs>),
    /// Prints the OpenAPI document, and ends
    Openapi,
    /// Checks a running user-api from outside, and ends: 0, or 69 with the reason
    Check(CheckArgs),
}

/// What `check` looks at.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Where.
    #[command(flatten)]
    pub at: web::check::CheckArgs,
    /// Also register a user, with a name and an address of chance at this domain, who gets a mail; without it nothing is left behind
    #[arg(long, value_name = "DOMAIN")]
    pub register: Option<check::Domain>,
}

/// What `serve` needs.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// The HTTP server.
    #[command(flatten)]
    pub http: HttpArgs,
    /// What clients may do.
    #[command(flatten)]
    pub clients: ClientArgs,
    /// How passwords are hashed.
    #[command(flatten)]
    pub hash: HashArgs,
    /// How tasks get into the queue.
    #[command(flatten)]
    pub relay: RelayArgs,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// What both services have.
    #[command(flatten)]
    pub common: CommonArgs<1>,
    /// How long a shutdown may take to finish requests that are under way; shorter than the pod's grace period
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration, help_heading = "Process")]
    pub shutdown_grace: Duration,
}

impl ServeConfig {
    /// Variables that are right one by one and do not go together.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), Contradiction> {
        contradictions::check(self)
    }
}

/// What clients may do.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct ClientArgs {
    /// Registrations that one client (IPv4 address or IPv6 /64) may try per window; 0 = any number
    #[arg(long, env = "RATE_LIMIT", default_value_t = 60)]
    pub rate_limit: u32,
    /// The window of RATE_LIMIT
    #[arg(long, env = "RATE_LIMIT_WINDOW", default_value = "1m", value_parser = duration)]
    pub rate_limit_window: Duration,
    /// Origins whose pages may register people from a browser, such as https://app.example, separated by commas; * is any
    #[arg(long, env = "CORS_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub cors_allowed_origins: Vec<Origin>,
}

/// How passwords are hashed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hashing")]
pub struct HashArgs {
    /// Passwords hashed at once, 19 MiB each [default: the number of cores]
    #[arg(long, env = "HASH_CONCURRENCY", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub hash_concurrency: Option<u16>,
    /// How long a password may wait for its turn; whoever would probably wait for more than three quarters of it gets a 503 at once
    #[arg(long, env = "HASH_MAX_WAIT", default_value = "2s", value_parser = duration)]
    pub hash_max_wait: Duration,
    /// What a hash may cost; cheap protects nobody and is refused when APP_ENV=production
    #[arg(long, env = "HASH_COST", value_enum, default_value_t = HashCost::Owasp)]
    pub hash_cost: HashCost,
}

impl HashArgs {
    /// How many at once.
    pub fn concurrency(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.hash_concurrency.map_or_else(cores, usize::from)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::config::given;

    use super::*;

    fn serve(vars: &[(&str, &str)]) -> Result<ServeConfig, platform::config::Refused> {
        let needed = [("DATABASE_URL", "postgres://u:p@localhost/d"), ("AMQP_URL", "amqp://u:p@localhost/%2f")];
        let all = [vars, &needed].concat();
        platform::config::try_parse::<Config>(["user-api"], given(&all)).map(|config| match config.command {
            Command::Serve(serve) => *serve,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn serving_is_the_default_and_needs_two_variables() {
        let config = serve(&[]).unwrap();
        assert_eq!(config.http.http_addr.port(), 8080);
        assert!(config.http.trusted_proxies.is_empty());
        assert!(config.hash.concurrency() >= 1);
    }

    #[test]
    fn what_contradicts_itself_is_named_and_the_defaults_do_not() {
        for (vars, named) in [
            (&[][..], None),
            (&[("HASH_COST", "cheap"), ("APP_ENV", "production")], Some("HASH_COST")),
            (&[("HASH_COST", "cheap"), ("APP_ENV", "development")], None),
            (&[("RELAY_POLL_INTERVAL", "0s")], Some("RELAY_POLL_INTERVAL")),
            (&[("RELAY_POLL_INTERVAL", "9ms")], Some("RELAY_POLL_INTERVAL")),
            (&[("RELAY_POLL_INTERVAL", "10ms")], None),
            (&[("SHUTDOWN_GRACE", "0s")], Some("SHUTDOWN_GRACE is 0s")),
            (&[("CONFIRM_TIMEOUT", "0s")], Some("CONFIRM_TIMEOUT")),
            (&[("REQUEST_TIMEOUT", "0s")], Some("REQUEST_TIMEOUT")),
            (&[("WRITE_TIMEOUT", "0s")], Some("WRITE_TIMEOUT")),
            (&[("IDLE_TIMEOUT", "0s")], Some("IDLE_TIMEOUT")),
            (&[("MAX_CONNECTIONS", "100")], Some("MAX_CONNECTIONS_PER_CLIENT")),
            (&[("MAX_CONNECTIONS", "100"), ("MAX_CONNECTIONS_PER_CLIENT", "100")], None),
            (&[("MAX_CONNECTIONS", "100"), ("MAX_CONNECTIONS_PER_CLIENT", "0")], None),
            (&[("HASH_MAX_WAIT", "0s")], Some("HASH_MAX_WAIT")),
            (&[("HASH_MAX_WAIT", "16s")], Some("HASH_MAX_WAIT is longer than REQUEST_TIMEOUT")),
            (&[("HASH_MAX_WAIT", "16s"), ("REQUEST_TIMEOUT", "16s")], None),
            (&[("RATE_LIMIT_WINDOW", "0s")], Some("RATE_LIMIT_WINDOW")),
            (&[("RATE_LIMIT_WINDOW", "0s"), ("RATE_LIMIT", "0")], None),
        ] {
            let line = serve(vars).unwrap().check().err().map(|contradiction| contradiction.0);
            assert_eq!(line.is_some(), named.is_some(), "{vars:?}: {line:?}");
            assert!(line.unwrap_or_default().contains(named.unwrap_or_default()), "{vars:?}: {named:?} is not named");
        }
        assert_eq!(serve(&[]).unwrap().hash.hash_cost, HashCost::Owasp, "what nobody set is safe");
    }

    #[test]
    fn networks_are_read_and_nonsense_is_named() {
        let config = serve(&[("TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,192.0.2.1")]).unwrap();
        assert_eq!(config.http.trusted_proxies.len(), 3);
        for (name, value) in [("TRUSTED_PROXIES", "10.0.0.0/99"), ("HASH_CONCURRENCY", "0"), ("RATE_LIMIT", "-1")] {
            let refused = format!("{:?}", serve(&[(name, value)]).unwrap_err());
            assert!(refused.contains(name), "{name}={value}: {refused}");
        }
    }

    #[test]
    fn every_command_and_its_arguments_fit_together() {
        <Config as clap::CommandFactory>::command().debug_assert();
    }
}
