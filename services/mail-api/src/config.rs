//! Configuration: the environment, and for what is printed the command line.

mod serve;

use std::time::Duration;

use amqp::BrokerUrl;
use clap::{Args, Parser, Subcommand};
use outbox::schema::Options;
use outbox::{Identifier, RelayArgs};
use platform::config::{BrokerArgs, CommonArgs, Contradiction, MigrateArgs, duration};
use web::check::CheckArgs;

pub use crate::keys::args::{AddArgs, Expires, KeysArgs, KeysCommand, ListArgs};
pub use serve::ServeConfig;

/// The way in for other applications: takes mails over HTTP, or relays their outbox to the queue and prints its SQL.
#[derive(Debug, Parser)]
#[command(name = "mail-api", version)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Relays tasks from the outbox in an application's database to the queue; changes nothing else there
    Relay(Box<RelayConfig>),
    /// Prints the SQL of the outbox, for the migrations of an application, and ends
    Schema(SchemaArgs),
    /// Takes mails over HTTP (POST /v1/mails) into a database of its own, and relays them to the queue
    Serve(Box<ServeConfig>),
    /// Brings the database of `serve` up to date, and ends
    Migrate(Box<MigrateArgs>),
    /// Makes, lists and revokes the API keys of `serve`
    Keys(KeysArgs),
    /// Prints the OpenAPI document of `serve`, and ends
    Openapi,
    /// Checks a running `serve` from outside, and ends: 0, or 69 with the reason
    Check(CheckArgs),
}

/// What `relay` needs: a connection for the claim, and one for who looks after the database.
#[derive(Debug, Clone, Args)]
pub struct RelayConfig {
    /// The schema of the outbox, as in `mail-api schema --schema`
    #[arg(long, env = "OUTBOX_SCHEMA", default_value = "sluice", help_heading = "Database")]
    pub outbox_schema: Identifier,
    /// How tasks get into the queue.
    #[command(flatten)]
    pub relay: RelayArgs,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs<BrokerUrl>,
    /// What all services have.
    #[command(flatten)]
    pub common: CommonArgs<2>,
    /// How long a shutdown may take to finish the batch that is under way; shorter than the pod's grace period
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration, help_heading = "Process")]
    pub shutdown_grace: Duration,
}

impl RelayConfig {
    /// Variables that are right one by one and do not go together.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), Contradiction> {
        let own = (self.shutdown_grace.is_zero(), "SHUTDOWN_GRACE is 0s: each end would cut off what is under way");
        Contradiction::first(self.relay.contradictions().into_iter().chain([own]))
    }
}

/// What `schema` prints.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// The schema that all of it is in
    #[arg(long, value_name = "NAME", default_value = "sluice")]
    pub schema: Identifier,
    /// A role that may ask for mails, with the rights for that; may be given several times
    #[arg(long, value_name = "NAME")]
    pub app_role: Vec<Identifier>,
    /// A role of relays, with the rights for that; may be given several times
    #[arg(long, value_name = "NAME")]
    pub relay_role: Vec<Identifier>,
}

impl SchemaArgs {
    /// For the SQL.
    pub fn options(self) -> Options {
        Options { schema: self.schema, apps: self.app_role, relays: self.relay_role }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::config::{Refused, given, try_parse};

    use super::*;

    fn command(args: &[&str], vars: &[(&str, &str)]) -> Result<Command, Refused> {
        let needed = [("DATABASE_URL", "postgres://u:p@localhost/d"), ("AMQP_URL", "amqp://u:p@localhost/%2f")];
        let all = [vars, &needed].concat();
        let args = ["mail-api"].iter().chain(args);
        try_parse::<Config>(args, given(&all)).map(|config| config.command)
    }

    fn relay(vars: &[(&str, &str)]) -> RelayConfig {
        match command(&["relay"], vars) {
            Ok(Command::Relay(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_relay_needs_two_variables_and_what_contradicts_itself_is_named() {
        assert_eq!(relay(&[]).outbox_schema.as_str(), "sluice");
        for (vars, named) in [
            (&[][..], None),
            (&[("RELAY_POLL_INTERVAL", "9ms")], Some("RELAY_POLL_INTERVAL")),
            (&[("CONFIRM_TIMEOUT", "0s")], Some("CONFIRM_TIMEOUT")),
            (&[("SHUTDOWN_GRACE", "0s")], Some("SHUTDOWN_GRACE")),
        ] {
            let line = relay(vars).check().err().map(|contradiction| contradiction.0);
            assert_eq!(line.is_some(), named.is_some(), "{vars:?}: {line:?}");
            assert!(line.unwrap_or_default().contains(named.unwrap_or_default()), "{vars:?}: {named:?} is not named");
        }
    }

    #[test]
    fn a_schema_that_is_no_name_is_refused_by_the_variable_and_by_the_flag() {
        let refused = |result: Result<Command, Refused>| match result {
            Err(Refused::Invalid(line)) => line,
            other => panic!("{other:?}"),
        };
        let line = refused(command(&["relay"], &[("OUTBOX_SCHEMA", "a\\b")]));
        assert!(line.contains("OUTBOX_SCHEMA"), "{line}");
        let line = refused(command(&["schema", "--schema", "a$b"], &[]));
        assert!(line.contains("--schema"), "{line}");
    }

    #[test]
    fn roles_may_be_several() {
        let asked =
            ["schema", "--schema", "Mails", "--app-role", "shop", "--app-role", "blog", "--relay-role", "relay"];
        let Ok(Command::Schema(args)) = command(&asked, &[]) else { panic!("not read") };
        let options = args.options();
        let names = |names: &[Identifier]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(options.schema.as_str(), "Mails");
        assert_eq!(
            (names(&options.apps), names(&options.relays)),
            (vec!["shop".into(), "blog".into()], vec!["relay".into()])
        );
    }

    #[test]
    fn every_command_and_its_arguments_fit_together() {
        <Config as clap::CommandFactory>::command().debug_assert();
    }
}
