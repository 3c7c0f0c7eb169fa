//! Bringing a schema up to date.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Postgres};
use tokio::time::Instant;

use super::{Unfit, Unproven, check_pooler, is_unavailable};
use crate::backoff::Backoff;
use crate::config::MigrateArgs;

/// How long a migration waits for the database to come up.
const MIGRATE: Duration = Duration::from_secs(60);
/// Migrations of a database take turns by this advisory lock. The number is the project's own.
const TURN: i64 = 0x51_75_1c_e0_3d_32_ad;

/// [`migrate`] for a command of the service `application`: the database that its variables name.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_as_told(args: &MigrateArgs, application: &str, migrator: &Migrator) -> anyhow::Result<()> {
    let (variable, url) = args.target().context("DATABASE_URL is not set")?;
    let pool = super::pool(url, 1, application)?;
    migrate(&pool, migrator).await.with_context(|| format!("the database of {variable}"))
}

/// Brings the schema up to date. Waits up to a minute for the database; several at once take turns.
///
/// Migrations that the database has and this binary lacks are left alone: an older replica may start during a rollout.
///
/// # Errors
/// The database does not come, is behind an unfit pooler, is not UTF-8, or a migration fails: then nothing was changed.
pub async fn migrate(pool: &PgPool, migrator: &Migrator) -> anyhow::Result<()> {
    let mut connection = first_connection(pool).await.context("connecting to the database")?;
    check_encoding(&mut connection).await?;
    match run(&mut connection, migrator).await {
        Err(MigrateError::VersionMismatch(version)) => Err(Unfit::Migration(version).into()),
        done => done.context("migrating the database"),
    }
}

/// What a migration says in Unicode could not even be parsed.
async fn check_encoding(connection: &mut PgConnection) -> anyhow::Result<()> {
    let asked = sqlx::query_scalar("SELECT current_setting('server_encoding')").fetch_one(connection).await;
    let encoding: String = asked.context("asking for the encoding of the database")?;
    if encoding == "UTF8" { Ok(()) } else { Err(Unfit::Encoding(encoding).into()) }
}

/// All in one transaction, with a lock and settings that end with it: behind a pooler, what is set or locked for a session stays
/// with a session of the server, and the next client of that has it.
async fn run(connection: &mut PgConnection, migrator: &Migrator) -> Result<(), MigrateError> {
    let migrator = Migrator {
        migrations: Cow::Owned(migrator.migrations.to_vec()),
        ignore_missing: true,
        locking: false,
        ..Migrator::DEFAULT
    };
    let mut transaction = connection.begin().await?;
    // A migration takes as long as it takes.
    transaction.execute("SET LOCAL statement_timeout = 0").await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(&mut *transaction).await?;
    migrator.run(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn first_connection(pool: &PgPool) -> Result<PoolConnection<Postgres>, Unproven> {
    let deadline = Instant::now() + MIGRATE;
    // Short: a pod that has just started is often let through by its network policy only a moment later.
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
    loop {
        let error = match connect(pool).await {
            Err(Unproven::Away(error)) if is_unavailable(&error) => error,
            done => return done,
        };
        let delay = backoff.next_delay();
        if Instant::now() + delay > deadline {
            return Err(Unproven::Away(error));
        }
        tracing::warn!(error = super::words(&error), "the database is not there yet, waiting for it");
        tokio::time::sleep(delay).await;
    }
}

async fn connect(pool: &PgPool) -> Result<PoolConnection<Postgres>, Unproven> {
    check_pooler(pool).await?;
    Ok(pool.acquire().await?)
}
