//! The keys that are good, as they were a moment ago: no request asks the database for them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use platform::health::Component;
use platform::postgres::DbError;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use web::Problem;

use super::{Caller, KeyId, Token};
use crate::db;
use crate::error::UNAUTHORIZED;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(2);
/// At most so often, however many strangers come with keys that nobody knows.
const PAUSE: Duration = Duration::from_millis(250);
/// What is older is not believed: a key that is revoked is refused after so long, whatever the database does.
const OLDEST: Duration = Duration::from_secs(5);
/// How long a key that nobody knows waits for the keys to be read again: it may be a minute old.
const NEWCOMER: Duration = Duration::from_secs(1);

/// There is no key that is good: nobody could ask for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{NO_KEYS}, then start again")]
pub struct NoKeys;

/// What is wrong then, and what to do.
const NO_KEYS: &str = "there is no API key that is good, so nobody could ask for a mail: run `mail-api keys add NAME`";

/// The keys. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    read: Arc<watch::Sender<Option<Arc<Snapshot>>>>,
    wanted: Arc<Notify>,
    none: Arc<OnceLock<NoKeys>>,
    may_be_empty: bool,
}

#[derive(Debug)]
struct Snapshot {
    callers: HashMap<KeyId, Arc<Caller>>,
    /// When the database was asked.
    asked: Instant,
}

impl Keyring {
    /// Without keys. Where there must be one at the start, [`follow`](Self::follow) sees to that.
    pub fn new(may_be_empty: bool) -> Self {
        Self { may_be_empty, ..Self::default() }
    }

    /// Who a request comes from.
    ///
    /// # Errors
    /// [`UNAUTHORIZED`]: from nobody who is known. `database-unavailable`: the keys can't be known at the moment.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let token = token(headers)?;
        let caller = match self.find(&token)? {
            Some(caller) => Some(caller),
            None => self.find_newcomer(&token).await?,
        };
        // Unknown, wrong, revoked and too old look alike from outside.
        let good = caller.filter(|caller| caller.digest.is_of(&token) && !caller.is_over());
        good.ok_or_else(|| Problem::new(UNAUTHORIZED).detail("the key is not known here, or not any more"))
    }

    fn find(&self, token: &Token) -> Result<Option<Arc<Caller>>, Problem> {
        let read = self.read.borrow();
        let Some(snapshot) = read.as_ref().filter(|snapshot| snapshot.asked.elapsed() < OLDEST) else {
            return Err(Problem::database_unavailable());
        };
        Ok(snapshot.callers.get(&token.id()).cloned())
    }

    async fn find_newcomer(&self, token: &Token) -> Result<Option<Arc<Caller>>, Problem> {
        let (now, mut read) = (Instant::now(), self.read.subscribe());
        self.wanted.notify_one();
        let newer = read.wait_for(|snapshot| snapshot.as_ref().is_some_and(|snapshot| snapshot.asked >= now));
        let in_time = timeout(NEWCOMER, newer).await.is_ok();
        if in_time { self.find(token) } else { Ok(None) }
    }

    /// Reads the keys until the token is cancelled, and tells `health`. Where there is none at the start and there must be one, `end` is
    /// cancelled, which is the service's own.
    pub async fn follow(self, pool: PgPool, health: Component, end: CancellationToken, stop: CancellationToken) {
        let following = async {
            let (mut told, mut told_none) = (false, false);
            loop {
                match self.read(&pool).await {
                    Ok(0) if self.is_new() => {
                        let _ = self.none.set(NoKeys);
                        end.cancel();
                        return std::future::pending().await;
                    }
                    Ok(0) => {
                        health.limited(NO_KEYS);
                        told = false;
                        if !std::mem::replace(&mut told_none, true) {
                            tracing::warn!("{NO_KEYS}");
                        }
                    }
                    Ok(_) => {
                        health.up();
                        (told, told_none) = (false, false);
                    }
                    Err(error) => {
                        health.down("they can't be read");
                        // Once for each outage.
                        if !std::mem::replace(&mut told, true) {
                            let error: &dyn std::error::Error = &error;
                            tracing::warn!(error, "the API keys can't be read: nobody is let in until they can");
                        }
                    }
                }
                sleep(PAUSE).await;
                let _ = timeout(EVERY - PAUSE, self.wanted.notified()).await;
            }
        };
        stop.run_until_cancelled(following).await;
    }

    /// Returns how many are good.
    async fn read(&self, pool: &PgPool) -> Result<usize, DbError> {
        let asked = Instant::now();
        let callers: HashMap<_, _> =
            db::active_keys(pool).await?.into_iter().map(|caller| (caller.id, Arc::new(caller))).collect();
        let count = callers.len();
        if count > 0 || !self.is_new() || self.may_be_empty {
            self.read.send_replace(Some(Arc::new(Snapshot { callers, asked })));
        }
        Ok(count)
    }

    fn is_new(&self) -> bool {
        self.read.borrow().is_none()
    }

    /// Whether there was one at the start.
    ///
    /// # Errors
    /// [`NoKeys`]
    pub fn was_not_empty(&self) -> Result<(), NoKeys> {
        self.none.get().map_or(Ok(()), |none| Err(*none))
    }
}

/// `Authorization: Bearer slc_..`, once.
fn token(headers: &HeaderMap) -> Result<Token, Problem> {
    let refused = |why: &'static str| Problem::new(UNAUTHORIZED).detail(why);
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Err(refused("send your key as Authorization: Bearer slc_.."));
    };
    if given.next().is_some() {
        return Err(refused("there is more than one Authorization header"));
    }
    let (scheme, token) = value.to_str().unwrap_or_default().trim().split_once(' ').unwrap_or_default();
    let token = token.trim_start().parse().ok().filter(|_| scheme.eq_ignore_ascii_case("bearer"));
    token.ok_or_else(|| refused("Authorization is not Bearer and a key of this service, slc_.."))
}
