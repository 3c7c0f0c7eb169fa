//! The sending slots: how many mails are sent at once, and the connection that each slot owns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::email::{SendError, Session, Transport};

/// A connection that was not used for so long is closed: mail servers count them.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// A connection that was not used for so long is asked whether it still stands before a mail is sent over it.
const ASKED_AFTER: Duration = Duration::from_secs(1);

/// All sending slots of this worker.
#[derive(Debug, Clone)]
pub struct Slots {
    permits: Arc<Semaphore>,
    // The session used last is taken first, so that a quiet worker keeps one connection busy and lets the others go.
    sessions: Arc<Mutex<Vec<Session>>>,
    transport: Transport,
}

/// One slot, held by one mail.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    session: Option<Session>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// `count` slots over one transport.
    pub fn new(count: u16, transport: Transport) -> Self {
        let permits = Arc::new(Semaphore::new(usize::from(count.max(1))));
        Self { permits, sessions: Arc::default(), transport }
    }

    /// Where the mails go, for spans.
    pub fn server(&self) -> Option<(&str, u16)> {
        self.transport.server()
    }

    /// Waits for a free slot.
    pub async fn acquire(&self) -> Slot {
        // Never closed, so there is always a permit.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let session = self.sessions().pop();
        Slot { slots: self.clone(), session, _permit: permit }
    }

    /// Greets the mail server on a connection of its own: is it well, and does it accept our login?
    ///
    /// # Errors
    /// What it answered, or that it did not.
    pub async fn greet(&self) -> Result<(), SendError> {
        let session = self.transport.open().await?;
        self.keep(session);
        Ok(())
    }

    /// Closes idle connections until the token is cancelled, then all of them.
    pub async fn tend(self, token: CancellationToken) {
        let mut tick = tokio::time::interval(IDLE_LIMIT / 6);
        while token.run_until_cancelled(tick.tick()).await.is_some() {
            self.close(|session| session.idle_for() >= IDLE_LIMIT).await;
        }
        self.close(|_| true).await;
    }

    async fn close(&self, which: impl Fn(&Session) -> bool) {
        let leaving: Vec<Session> = {
            let mut sessions = self.sessions();
            let (leaving, staying) = sessions.drain(..).partition(|session| which(session));
            *sessions = staying;
            leaving
        };
        futures_util::future::join_all(leaving.into_iter().map(Session::quit)).await;
    }

    fn keep(&self, session: Session) {
        if session.is_usable() {
            self.sessions().push(session);
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The slot's connection, opened if it has none.
    ///
    /// # Errors
    /// As [`Transport::open`].
    pub async fn session(&mut self) -> Result<&mut Session, SendError> {
        let session = match self.session.take().filter(Session::is_usable) {
            Some(session) => session,
            None => self.slots.transport.open().await?,
        };
        Ok(self.session.insert(session))
    }

    /// The same; a connection that has been idle is asked first whether it still stands.
    ///
    /// # Errors
    /// As [`Transport::open`].
    pub async fn live_session(&mut self) -> Result<&mut Session, SendError> {
        if let Some(session) = self.session.as_mut().filter(|session| session.idle_for() >= ASKED_AFTER) {
            session.check().await;
        }
        self.session().await
    }

    /// Drops the connection and greets the server again.
    ///
    /// # Errors
    /// As [`Transport::open`].
    pub async fn reopen(&mut self) -> Result<(), SendError> {
        self.session = None;
        self.session().await.map(|_| ())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.slots.keep(session);
        }
    }
}
