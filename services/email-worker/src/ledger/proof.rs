//! Before the first task: a database that a worker can work with.

use std::time::Duration;

use platform::backoff::Backoff;
use platform::health::Component;
use platform::postgres::{self, Found, Statement as _, UnfitPooler, Unproven, ask, check_pooler};
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LedgerDown;
use super::sql::Probe;
use crate::clock::DatabaseClock;

/// Waits between two looks while it can't be used.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often the clock is looked at: ages are told in days.
const CLOCK: Duration = Duration::from_secs(60);
/// A probe may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Waits for the database, and tells `health` what is missing until then. Learns what time it is there.
///
/// # Errors
/// It is behind a pooler that can't be used: no use in waiting.
pub(crate) async fn prove(pool: &PgPool, health: &Component) -> Result<DatabaseClock, UnfitPooler> {
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
    let mut last = String::new();
    loop {
        let reason = match look(pool).await {
            Ok(clock) => {
                health.up();
                return Ok(clock);
            }
            Err(Unusable::Unfit(unfit)) => return Err(unfit),
            Err(Unusable::Down(down)) => down.to_string(),
        };
        if reason != last {
            tracing::warn!(reason, "no task is taken before the database can be used");
        }
        health.down(reason.as_str());
        last = reason;
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

enum Unusable {
    Unfit(UnfitPooler),
    Down(LedgerDown),
}

async fn look(pool: &PgPool) -> Result<DatabaseClock, Unusable> {
    check_pooler(pool).await.map_err(|unproven| match unproven {
        Unproven::Unfit(unfit) => Unusable::Unfit(unfit),
        Unproven::Away(error) => Unusable::Down(error.into()),
    })?;
    probe(pool, ANSWER_WITHIN).await.map_err(Unusable::Down)
}

/// Looks at the database's clock now and then until the token is cancelled: clocks drift apart, and are set.
pub(crate) async fn keep_time(pool: PgPool, clock: DatabaseClock, token: CancellationToken) {
    let keeping = async {
        loop {
            tokio::time::sleep(CLOCK).await;
            match probe(&pool, ANSWER_WITHIN).await {
                Ok(now) => clock.correct(&now),
                Err(down) => tracing::debug!(error = %down, "the database's clock could not be looked at"),
            }
        }
    };
    token.run_until_cancelled(keeping).await;
}

/// Is the database there, migrated and writable, and what time is it there?
///
/// # Errors
/// [`LedgerDown`] with the reason.
pub(crate) async fn probe(pool: &PgPool, limit: Duration) -> Result<DatabaseClock, LedgerDown> {
    let asked = Instant::now();
    let probed = ask(pool, &Probe, limit).await?;
    if probed.writable {
        Ok(DatabaseClock::learnt(asked, probed.now))
    } else {
        Err(LedgerDown::because("it is read-only"))
    }
}

/// Are the tables there? For who reads them, and writes little.
#[derive(Debug)]
pub(crate) struct Tables;

impl postgres::Probe for Tables {
    const PREPARES: bool = true;

    async fn find(&self, connection: &mut PgConnection) -> sqlx::Result<Found> {
        match Probe.ask(connection).await {
            Ok(probed) if probed.writable => Ok(Found::Fit),
            Ok(_) => Ok(Found::ReadOnly),
            Err(error) => {
                let down = LedgerDown::from(error);
                if down.is_not_migrated() {
                    return Ok(Found::Missing(down.to_string()));
                }
                Err(sqlx::Error::Protocol(down.to_string()))
            }
        }
    }
}
