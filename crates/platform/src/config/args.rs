//! The variables that both services have.

use std::error::Error;
use std::net::SocketAddr;
use std::str::FromStr;

use clap::Args;

use super::log::LogArgs;
use super::values::{AppEnv, Secret, database_url};

/// The database of a service that needs `LEAST` connections.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs<const LEAST: u16> {
    /// PostgreSQL: postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url)]
    pub database_url: Secret,
    /// How large the pool may become.
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value_t = 8, value_parser = clap::value_parser!(u32).range(i64::from(LEAST)..=1000))]
    #[arg(help = format!("Connections to the database at most, {LEAST} to 1000"))]
    pub database_pool_size: u32,
}

/// What a migration needs.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// PostgreSQL for the migration alone, such as a role that may change tables, or the server behind a pooler; when not set DATABASE_URL
    #[arg(long, env = "MIGRATE_DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    pub migrate_database_url: Option<Secret>,
    /// PostgreSQL: postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = database_url, help_heading = "Database")]
    #[arg(required_unless_present = "migrate_database_url")]
    pub database_url: Option<Secret>,
    /// Logging and telemetry.
    #[command(flatten)]
    pub log: LogArgs,
}

impl MigrateArgs {
    /// What is migrated, and the variable that says so.
    pub fn target(&self) -> Option<(&'static str, &Secret)> {
        let own = self.migrate_database_url.as_ref().map(|url| ("MIGRATE_DATABASE_URL", url));
        own.or_else(|| Some(("DATABASE_URL", self.database_url.as_ref()?)))
    }
}

/// The broker of a service. `U` is the type that reads the URL; its error must not contain the password.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Broker")]
pub struct BrokerArgs<U>
where
    U: FromStr + Clone + Send + Sync + 'static,
    U::Err: Error + Send + Sync + 'static,
{
    /// RabbitMQ: amqp://user:password@host:5672/vhost, or amqps://
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_parser = U::from_str)]
    pub amqp_url: U,
}

/// Where a service reports its health.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Process")]
pub struct AdminArgs {
    /// Where /livez, /readyz and /metrics are served, address and port
    #[arg(long, env = "ADMIN_ADDR", default_value = "0.0.0.0:9090")]
    pub admin_addr: SocketAddr,
}

/// How a service behaves as a process, with its database; everything that both have and every subcommand can do with. It
/// needs `CONNECTIONS` to the database.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs<const CONNECTIONS: u16> {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs<CONNECTIONS>,
    /// The admin server.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// What the process runs for; production refuses what only suits a developer's machine
    #[arg(long, env = "APP_ENV", value_enum, default_value_t = AppEnv::Development, help_heading = "Process")]
    pub app_env: AppEnv,
    /// Logging and telemetry.
    #[command(flatten)]
    pub log: LogArgs,
}
