//! What holds, as this worker knows it.

use std::sync::Arc;
use std::time::Duration;

use platform::backoff::Backoff;
use platform::postgres::ask;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::store::Read;
use super::{Ask, Controls};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Waits between two looks before the first answer.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A look may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What holds at the moment, and how it changes.
pub(crate) type ControlsWatch = watch::Receiver<Arc<Controls>>;

/// What holds before the first task: a fleet that is paused stays so over a restart. Waits for the database.
pub(crate) async fn first(pool: &PgPool) -> watch::Sender<Arc<Controls>> {
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
    loop {
        match ask(pool, &Read, ANSWER_WITHIN).await {
            Ok(controls) => {
                tell(&Controls::default(), &controls);
                return watch::Sender::new(Arc::new(controls));
            }
            Err(error) => tracing::warn!(%error, "no task is taken before it is known whether sending is paused"),
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// Looks once a second until the token is cancelled, and calls `changed` when something else holds. While the database is away what
/// held before holds.
pub(crate) async fn follow(
    pool: PgPool,
    known: watch::Sender<Arc<Controls>>,
    changed: impl Fn() + Send,
    token: CancellationToken,
) {
    let following = async {
        loop {
            tokio::time::sleep(EVERY).await;
            match ask(&pool, &Read, ANSWER_WITHIN).await {
                Ok(controls) => {
                    if **known.borrow() != controls {
                        tell(&known.borrow(), &controls);
                        known.send_replace(Arc::new(controls));
                        changed();
                    }
                }
                Err(error) => tracing::debug!(%error, "what operators ask for could not be looked at"),
            }
        }
    };
    token.run_until_cancelled(following).await;
}

/// A line for each that is new, another, or gone.
fn tell(before: &Controls, now: &Controls) {
    let (before, now) = (before.all(), now.all());
    for control in now.iter().filter(|control| !before.contains(control)) {
        let (scope, by, reason) = (&control.scope, &control.set_by, &control.reason);
        match control.ask {
            Ask::Pause => tracing::warn!(%scope, by, reason, "sending is paused"),
            Ask::Limit(rate) => tracing::info!(%scope, %rate, by, reason, "sending is limited"),
        }
    }
    let same =
        |one: &super::Control, other: &super::Control| one.scope == other.scope && one.ask.kind() == other.ask.kind();
    for control in before.iter().filter(|control| !now.iter().any(|other| same(control, other))) {
        let scope = &control.scope;
        match control.ask {
            Ask::Pause => tracing::info!(%scope, "sending goes on"),
            Ask::Limit(_) => tracing::info!(%scope, "sending is not limited any more"),
        }
    }
}
