//! Whether the database is there, and what it must be: asked all the time, so that requests need not find out one by one.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Kept, UnfitPooler, Unproven, check_pooler, check_startup, words};
use crate::health::Component;

/// How often it is asked: while it is there, and while it is not.
const WHILE_UP: Duration = Duration::from_secs(2);
const WHILE_DOWN: Duration = Duration::from_millis(250);
/// How long it may take to answer.
const PROBE: Duration = Duration::from_secs(2);

/// What a service needs its database to be.
pub trait Probe: Send + Sync + 'static {
    /// Whether it prepares statements: not every pooler keeps those of its clients apart.
    const PREPARES: bool;

    /// Asks for it, in few round trips.
    fn find(&self, connection: &mut PgConnection) -> impl Future<Output = sqlx::Result<Found>> + Send;
}

/// What a [`Probe`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// All that is needed.
    Fit,
    /// A standby, or a database that somebody has closed for writing.
    ReadOnly,
    /// Something is missing: what, and what to do, in a sentence for whoever operates the service.
    Missing(String),
}

/// What is known of the database at the moment. Clones share it.
#[derive(Debug, Clone)]
pub struct Availability {
    state: Arc<watch::Sender<State>>,
    /// Whether it was found to be there, and to be what it must be, ever.
    proven: Arc<watch::Sender<bool>>,
    /// Whether it was so when it was last asked.
    fit: Arc<watch::Sender<bool>>,
    suspected: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not asked yet.
    Unknown,
    Up,
    Down,
}

impl Availability {
    /// Nothing is known.
    pub fn new() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(State::Unknown)),
            proven: Arc::default(),
            fit: Arc::default(),
            suspected: Arc::default(),
        }
    }

    /// It did not answer when it was last asked.
    pub fn is_down(&self) -> bool {
        *self.state.borrow() == State::Down
    }

    /// A statement got no answer: time to ask again.
    pub fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// Waits until it was asked once.
    pub async fn known(&self) {
        // The sender lives as long as this value.
        let _ = self.state.subscribe().wait_for(|state| *state != State::Unknown).await;
    }

    /// Waits until it was found to be there, and to be what it must be. Nothing is asked of it before.
    pub async fn proven(&self) {
        let _ = self.proof().wait_for(|proven| *proven).await;
    }

    /// Becomes true at that moment, and stays so.
    pub fn proof(&self) -> watch::Receiver<bool> {
        self.proven.subscribe()
    }

    /// True while it is there, and what it must be, as far as is known.
    pub fn fit(&self) -> watch::Receiver<bool> {
        self.fit.subscribe()
    }

    /// Whether this is news.
    fn set(&self, up: bool) -> bool {
        if up {
            self.proven.send_replace(true);
        }
        self.fit.send_replace(up);
        let now = if up { State::Up } else { State::Down };
        self.state.send_if_modified(|state| std::mem::replace(state, now) != now)
    }
}

impl Default for Availability {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks the database until the token is cancelled, and tells `availability` and `health` what it found. `kept` are the connections of
/// `pool` that the service keeps.
///
/// # Errors
/// There is a pooler before it that can't be used.
pub(super) async fn watch(
    pool: PgPool,
    kept: Kept,
    probe: impl Probe,
    availability: Availability,
    health: Component,
    token: CancellationToken,
) -> Result<(), UnfitPooler> {
    let watch = async {
        loop {
            let proven = *availability.proof().borrow();
            let pause = match look(&pool, &probe, proven).await {
                Ok(()) => {
                    if availability.set(true) {
                        tracing::info!("the database is there");
                    }
                    health.up();
                    kept.give_idle_back();
                    WHILE_UP
                }
                Err(Trouble::Unfit(unfit)) => return unfit,
                Err(Trouble::Away(reason)) => {
                    if availability.set(false) {
                        tracing::warn!(reason, "the database is not available");
                    }
                    health.down(reason.as_str());
                    kept.give_all_back();
                    discard(&pool, reason == READ_ONLY).await;
                    WHILE_DOWN
                }
            };
            let _ = tokio::time::timeout(pause, availability.suspected.notified()).await;
        }
    };
    token.run_until_cancelled(watch).await.map_or(Ok(()), Err)
}

/// [`Found::ReadOnly`], in words.
const READ_ONLY: &str = "it is read-only";

enum Trouble {
    Unfit(UnfitPooler),
    Away(String),
}

async fn look<P: Probe>(pool: &PgPool, probe: &P, proven: bool) -> Result<(), Trouble> {
    if !proven {
        let checked = if P::PREPARES { check_pooler(pool).await } else { check_startup(pool).await };
        checked.map_err(|unproven| match unproven {
            Unproven::Unfit(unfit) => Trouble::Unfit(unfit),
            Unproven::Away(error) => Trouble::Away(words(&error)),
        })?;
    }
    ask(pool, probe).await.map_err(Trouble::Away)
}

/// Is it there, and what it must be?
async fn ask(pool: &PgPool, probe: &impl Probe) -> Result<(), String> {
    let finding = async { probe.find(&mut *pool.acquire().await?).await };
    match tokio::time::timeout(PROBE, finding).await {
        Ok(Ok(Found::Fit)) => Ok(()),
        Ok(Ok(Found::ReadOnly)) => Err(READ_ONLY.to_owned()),
        Ok(Ok(Found::Missing(what))) => Err(what),
        Ok(Err(error)) => Err(words(&error)),
        Err(_) => Err(why_silent(pool).await),
    }
}

/// The pool tries again for as long as it may where a connection is refused, and does not say so.
async fn why_silent(pool: &PgPool) -> String {
    match tokio::time::timeout(PROBE, pool.connect_options().connect()).await {
        Ok(Err(error)) => words(&error),
        Ok(Ok(_)) | Err(_) => format!("no answer within {PROBE:?}"),
    }
}

/// Connections of a server that has died lie in the pool until somebody uses them, and fails. Better us than a request. Of one that
/// takes no writes all are given up: a session keeps what it began with.
async fn discard(pool: &PgPool, all: bool) {
    let mut sound = Vec::new();
    while let Some(mut connection) = pool.try_acquire() {
        if all {
            connection.close_on_drop();
            continue;
        }
        match tokio::time::timeout(PROBE, connection.ping()).await {
            Ok(Ok(())) => sound.push(connection),
            Ok(Err(_)) | Err(_) => connection.close_on_drop(),
        }
    }
}
