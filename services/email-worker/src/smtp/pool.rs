//! The SMTP connection pool: how many mails are sent at once, each over a connection of its own.

mod connection;
mod limit;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::global;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::send::classify::{Classification, Outage};
use crate::smtp::{Broken, SendError, Session, Stage, Transport};
pub use connection::{NoSession, PooledConnection};
use limit::{Limit, News, Place, Refusal};

/// A connection that was not used for so long is closed: mail servers count them.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// The same where connections are short: another worker may wait for it.
const IDLE_LIMIT_WHEN_SHORT: Duration = Duration::from_secs(1);

/// How often connections are looked at that nobody uses.
const TENDED_EVERY: Duration = Duration::from_millis(500);

/// The connections of this worker to the mail server.
#[derive(Debug, Clone)]
pub struct ConnectionPool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    transport: Transport,
    // Whose turn it is to wait for a connection: one after the other, in the order of their coming.
    turn: Semaphore,
    // Something changed for the one whose turn it is.
    changed: Notify,
    pool: Mutex<Pool>,
}

#[derive(Debug)]
struct Pool {
    limit: Limit,
    // The session used last is taken first, so that a quiet worker keeps one connection busy and lets the others go.
    idle: Vec<Session>,
    // Left to others: to be closed.
    leaving: Vec<Session>,
    last_accepted: Option<Instant>,
}

/// A connection that is being opened; one that is given up half way is not counted.
struct Opening<'a>(&'a Shared);

impl ConnectionPool {
    /// At most `count` connections over one transport.
    pub fn new(count: u16, transport: Transport) -> Self {
        let pool =
            Pool { limit: Limit::new(usize::from(count)), idle: Vec::new(), leaving: Vec::new(), last_accepted: None };
        Self(Arc::new(Shared { transport, turn: Semaphore::new(1), changed: Notify::new(), pool: Mutex::new(pool) }))
    }

    /// Where the mails go, for spans.
    pub fn server(&self) -> Option<(&str, u16)> {
        self.0.transport.server()
    }

    /// Waits for a connection that stands or may be opened. Dropping the future costs nothing but the turn.
    pub async fn acquire(&self) -> PooledConnection {
        // Never closed, so there is always a turn.
        let _turn = self.0.turn.acquire().await;
        loop {
            let next_try = {
                let mut pool = self.0.pool();
                if let Some((place, session)) = pool.take() {
                    return PooledConnection { shared: Arc::clone(&self.0), session, place: Some(place) };
                }
                pool.limit.next_try()
            };
            let later = async {
                match next_try {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = later => {}
                // What changed since the look is kept.
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Greets the mail server: is it well, and does it accept our login? A connection that nobody uses will do, else one is
    /// opened and kept.
    ///
    /// # Errors
    /// What it answered, or that it did not.
    pub async fn probe(&self) -> Result<(), SendError> {
        let place = self.0.pool().limit.take_to_probe();
        let mut connection = PooledConnection { shared: Arc::clone(&self.0), session: None, place: Some(place) };
        connection.session = connection.adopt();
        while let Some(session) = &mut connection.session {
            if session.check().await {
                return Ok(());
            }
            connection.forget();
            connection.session = connection.adopt();
        }
        let Some(place) = &mut connection.place else { return Ok(()) };
        self.0.pool().limit.open(place);
        connection.session = Some(self.0.open(place).await.map_err(|(_, error)| error)?);
        Ok(())
    }

    /// Closes connections that nobody uses until the token is cancelled, then all of them.
    pub async fn tend(self, token: CancellationToken) {
        let mut tick = tokio::time::interval(TENDED_EVERY);
        while token.run_until_cancelled(tick.tick()).await.is_some() {
            self.0.tell();
            let limit = match self.0.pool().limit.learnt() {
                Some(_) => IDLE_LIMIT_WHEN_SHORT,
                None => IDLE_LIMIT,
            };
            self.close(|session| session.idle_for() >= limit).await;
        }
        self.close(|_| true).await;
    }

    /// `sluice.smtp.connections` and `sluice.smtp.connections.limit`.
    pub fn observe(&self) {
        let meter = global::meter("email-worker");
        let (open, limit) = (Arc::clone(&self.0), Arc::clone(&self.0));
        meter
            .u64_observable_gauge("sluice.smtp.connections")
            .with_unit("{connection}")
            .with_description("Connections to the mail server that stand.")
            .with_callback(move |gauge| gauge.observe(open.pool().limit.standing() as u64, &[]))
            .build();
        meter
            .u64_observable_gauge("sluice.smtp.connections.limit")
            .with_unit("{connection}")
            .with_description("Connections to the mail server that there may be: what it takes, as far as it is known.")
            .with_callback(move |gauge| gauge.observe(limit.pool().limit.allowed() as u64, &[]))
            .build();
    }

    async fn close(&self, which: impl Fn(&Session) -> bool) {
        let leaving: Vec<Session> = {
            let mut pool = self.0.pool();
            let (mut leaving, staying): (Vec<_>, _) = pool.idle.drain(..).partition(|session| which(session));
            pool.idle = staying;
            leaving.append(&mut pool.leaving);
            leaving
        };
        if leaving.is_empty() {
            return;
        }
        let count = leaving.len();
        futures_util::future::join_all(leaving.into_iter().map(Session::quit)).await;
        // Counted until the server has been told.
        self.0.change(|pool| pool.limit.idle_closed(count));
    }
}

impl Pool {
    fn take(&mut self) -> Option<(Place, Option<Session>)> {
        if let Some(session) = self.idle.pop() {
            return Some((self.limit.take_idle(), Some(session)));
        }
        self.limit.take(Instant::now()).map(|place| (place, None))
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for a connection.
    fn wanted(&self) -> bool {
        self.turn.available_permits() == 0
    }

    /// Changes what is counted, and tells whoever waits.
    fn change<T>(&self, event: impl FnOnce(&mut Pool) -> T) -> T {
        let answer = event(&mut self.pool());
        self.changed.notify_one();
        answer
    }

    /// Tells the log what was learnt of the number of connections, once it has settled.
    fn tell(&self) {
        let news = self.pool().limit.news(Instant::now());
        match news {
            None => {}
            Some(News::Takes(limit)) => {
                tracing::info!(limit, "so many connections does the mail server take of this worker");
            }
            Some(News::TakesAll) => {
                tracing::info!("the mail server takes as many connections of this worker as there are slots");
            }
        }
    }

    /// Opens a connection that the limit allowed.
    async fn open(&self, place: &mut Place) -> Result<Session, (Refusal, SendError)> {
        let opening = Opening(self);
        let opened = self.transport.open().await;
        std::mem::forget(opening);
        let (wanted, now) = (self.wanted(), Instant::now());
        match opened {
            Ok(session) => {
                self.change(|pool| pool.limit.opened(wanted, now));
                Ok(session)
            }
            Err(error) => {
                let class = Classification::of(&error);
                let explicit = class == Classification::TooManyConnections;
                let refusal = self.change(|pool| {
                    if explicit || may_be_for_the_number(class.outage(), &error) {
                        pool.limit.refused(place, explicit, now)
                    } else {
                        pool.limit.not_opened();
                        Refusal::Alone
                    }
                });
                Err((refusal, error))
            }
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.change(|pool| pool.limit.not_opened());
    }
}

/// Servers refuse a connection too many in many ways: by a reply at the greeting, by hanging up, by not taking it. What is
/// about our login, about encryption, or not answered, is not among them.
fn may_be_for_the_number(outage: Outage, error: &SendError) -> bool {
    match error {
        SendError::Refused { stage: Stage::Connect, .. } => outage == Outage::NotGreeted,
        SendError::Broken { stage: Stage::Connect, cause, .. } => {
            matches!(cause, Broken::Unreachable(_) | Broken::Dropped)
        }
        _ => false,
    }
}
