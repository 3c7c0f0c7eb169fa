//! One connection of the pool, in the hands of one mail.

use std::sync::Arc;
use std::time::Duration;

use mail::Rendered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::limit::{Place, Refusal};
use crate::smtp::{Accepted, Broken, SendError, Session, Stage};

/// A connection that was not used for so long is asked whether it still stands before a mail is sent over it.
const ASKED_AFTER: Duration = Duration::from_secs(1);

/// One that was opened so long before its first mail may have been closed for being idle: a moment of the rate is handed out
/// somewhat before it comes.
const FRESH_FOR: Duration = Duration::from_millis(100);

/// A mail that was accepted so long ago still tells that mails are accepted.
const TELLS_FOR: Duration = Duration::from_secs(10);

/// A place in the pool, and its connection; held by one mail.
#[derive(Debug)]
pub struct PooledConnection {
    pub(super) shared: Arc<Shared>,
    pub(super) session: Option<Session>,
    // Given back when this is dropped.
    pub(super) place: Option<Place>,
}

/// Why a mail has no connection.
#[derive(Debug)]
pub enum NoSession {
    /// The server takes no more of them than stand already: wait for one again.
    OthersStand,
    /// The server, or what it thinks of us.
    Failed(SendError),
}

impl PooledConnection {
    /// The connection; if there is none, one that nobody uses, or a new one.
    ///
    /// # Errors
    /// None could be had.
    pub async fn session(&mut self) -> Result<&mut Session, NoSession> {
        self.forget_a_broken_one();
        let session = match self.session.take() {
            Some(session) => session,
            None => match self.adopt() {
                Some(session) => session,
                None => self.open().await?,
            },
        };
        Ok(self.session.insert(session))
    }

    /// The same; a connection that has been idle is asked first whether it still stands.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub async fn live_session(&mut self) -> Result<&mut Session, NoSession> {
        loop {
            let session = self.session().await?;
            if session.idle_for() < ASKED_AFTER || session.check().await {
                break;
            }
        }
        self.session().await
    }

    /// Drops the connection and greets the server again.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub async fn reopen(&mut self) -> Result<(), NoSession> {
        self.forget();
        self.session = Some(self.open().await?);
        Ok(())
    }

    /// Sends one mail over the connection that stands, and no longer than until the token is cancelled; tells when the
    /// recipient is taken.
    ///
    /// # Errors
    /// As [`Session::send_until`]; without a connection as if the server had closed it.
    pub async fn send(
        &mut self,
        mail: &Rendered,
        cut_off: &CancellationToken,
        recipient_taken: &(dyn Fn() + Sync),
    ) -> Result<Accepted, SendError> {
        match &mut self.session {
            Some(session) => {
                if session.idle_for() >= FRESH_FOR {
                    session.rested();
                }
                session.send_until(mail, cut_off, recipient_taken).await
            }
            None => Err(SendError::Broken { stage: Stage::Mail, cause: Broken::Dropped, fresh: false }),
        }
    }

    /// A mail was accepted over the connection.
    pub fn accepted(&mut self) {
        let wanted = self.shared.wanted();
        let Some(place) = &mut self.place else { return };
        let now = Instant::now();
        self.shared.change(|pool| {
            pool.last_accepted = Some(now);
            pool.limit.accepted(place, wanted, now);
        });
    }

    /// Mails go over others, and none has yet over this connection: what it is refused may be for their number, whatever words
    /// the server finds.
    pub fn may_be_one_too_many(&self) -> bool {
        let unproven = self.session.as_ref().is_some_and(|session| !session.has_sent());
        let pool = self.shared.pool();
        let others_send = pool.last_accepted.is_some_and(|last| last.elapsed() < TELLS_FOR);
        unproven && others_send && pool.limit.standing() > 1
    }

    /// A mail was refused for the number of connections: closes this one. `explicit`: the server spoke of their number. True:
    /// others stand, the mail may go over those.
    pub async fn turned_away(mut self, explicit: bool) -> bool {
        if let Some(session) = self.session.take() {
            session.quit().await;
        }
        let Some(place) = &mut self.place else { return false };
        self.shared.change(|pool| pool.limit.turned_away(place, explicit, Instant::now())) == Refusal::OthersStand
    }

    async fn open(&mut self) -> Result<Session, NoSession> {
        let Some(place) = &mut self.place else { return Err(NoSession::OthersStand) };
        if !self.shared.pool().limit.open(place) {
            return Err(NoSession::OthersStand);
        }
        self.shared.open(place).await.map_err(|(refusal, error)| match refusal {
            Refusal::OthersStand => {
                tracing::debug!(%error, "a connection was refused while others stand");
                NoSession::OthersStand
            }
            Refusal::Alone => NoSession::Failed(error),
        })
    }

    pub(super) fn adopt(&self) -> Option<Session> {
        let mut pool = self.shared.pool();
        pool.idle.pop().inspect(|_| pool.limit.adopt_idle())
    }

    fn forget_a_broken_one(&mut self) {
        if self.session.as_ref().is_some_and(|session| !session.is_usable()) {
            self.forget();
        }
    }

    pub(super) fn forget(&mut self) {
        if self.session.take().is_some() {
            self.shared.change(|pool| pool.limit.closed());
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        self.forget_a_broken_one();
        let Some(place) = self.place.take() else { return };
        let (session, wanted) = (self.session.take(), self.shared.wanted());
        self.shared.change(|pool| {
            let lend = pool.limit.give_back(place, session.is_some(), wanted, Instant::now());
            let whereto = if lend { &mut pool.leaving } else { &mut pool.idle };
            whereto.extend(session);
        });
    }
}
