//! Where mails go: a mail server, or a folder on a developer's machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail::Rendered;
use tokio_util::sync::CancellationToken;

use super::file::FileSession;
use super::reply::{Accepted, SendError};
use super::server::{Smtp, SmtpOptions};
use super::session::SmtpSession;
use crate::tls::TlsError;

/// A way to send mails; cheap to clone. It holds no connection: each sending slot opens a [`Session`] of its own.
#[derive(Debug, Clone)]
pub enum Transport {
    /// One mail server.
    Smtp(Arc<Smtp>),
    /// A folder with one .eml a mail.
    File(PathBuf),
}

impl Transport {
    /// Mails go to the mail server of `options`.
    ///
    /// # Errors
    /// TLS is asked for and the machine has no root certificates that can be read (`SSL_CERT_FILE` names others).
    pub fn smtp(options: SmtpOptions) -> Result<Self, TlsError> {
        Ok(Self::Smtp(Arc::new(Smtp::new(options)?)))
    }

    /// Mails become files in `folder`.
    pub fn file(folder: impl Into<PathBuf>) -> Self {
        Self::File(folder.into())
    }

    /// Where mails go, for `server.address` and `server.port` of a span: the host and port of the mail server.
    pub fn server(&self) -> Option<(&str, u16)> {
        match self {
            Self::Smtp(smtp) => Some((&smtp.options().host, smtp.options().port)),
            Self::File(_) => None,
        }
    }

    /// Connects, greets, secures the connection and logs in; also the probe of an open circuit.
    ///
    /// # Errors
    /// Always at [`Stage::Connect`](super::Stage::Connect), within the connect timeout.
    pub async fn open(&self) -> Result<Session, SendError> {
        Ok(Session(match self {
            Self::Smtp(smtp) => Inner::Smtp(Box::new(smtp.open().await?)),
            Self::File(folder) => Inner::File(FileSession::open(folder).await?),
        }))
    }
}

/// One conversation with the mail server, owned by one sending slot.
///
/// Dropping a [`send`](Self::send) half way closes the connection: what the server did with that mail is unknown, and no
/// later mail can be taken for it.
#[derive(Debug)]
pub struct Session(Inner);

#[derive(Debug)]
enum Inner {
    Smtp(Box<SmtpSession>),
    File(FileSession),
}

impl Session {
    /// Sends one mail, within the send timeout up to its last byte and the data timeout after it. After a refusal the
    /// session is usable again, after anything else that went wrong it is not: see [`is_usable`](Self::is_usable).
    ///
    /// # Errors
    /// The stage and what happened there. [`SendError::session_was_stale`] tells a server that had merely hung up on an
    /// idle connection.
    pub async fn send(&mut self, mail: &Rendered) -> Result<Accepted, SendError> {
        self.send_until(mail, &CancellationToken::new(), &|| ()).await
    }

    /// The same, and no longer than until the token is cancelled ([`Broken::CutOff`](super::Broken::CutOff)); tells when the
    /// recipient is taken, before the content is said.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_until(
        &mut self,
        mail: &Rendered,
        cut_off: &CancellationToken,
        recipient_taken: &(dyn Fn() + Sync),
    ) -> Result<Accepted, SendError> {
        match &mut self.0 {
            Inner::Smtp(session) => session.send(mail, cut_off, recipient_taken).await,
            Inner::File(session) => session.send(mail).await,
        }
    }

    /// Whether another mail can be sent over it.
    pub fn is_usable(&self) -> bool {
        match &self.0 {
            Inner::Smtp(session) => session.is_usable(),
            Inner::File(_) => true,
        }
    }

    /// Whether a mail has been accepted over it.
    pub fn has_sent(&self) -> bool {
        match &self.0 {
            Inner::Smtp(session) => session.has_sent(),
            Inner::File(_) => true,
        }
    }

    /// How long it has not been used.
    pub fn idle_for(&self) -> Duration {
        match &self.0 {
            Inner::Smtp(session) => session.idle_for(),
            Inner::File(_) => Duration::ZERO,
        }
    }

    /// Time has passed since it was opened: the server may have hung up on it for being idle.
    pub fn rested(&mut self) {
        match &mut self.0 {
            Inner::Smtp(session) => session.rested(),
            Inner::File(_) => {}
        }
    }

    /// Asks the server whether it is still there (`NOOP`), at most 5 s. A session that is not is unusable from then on.
    pub async fn check(&mut self) -> bool {
        match &mut self.0 {
            Inner::Smtp(session) => session.check().await,
            Inner::File(_) => true,
        }
    }

    /// Says goodbye and closes the connection, at most 2 s.
    pub async fn quit(self) {
        match self.0 {
            Inner::Smtp(session) => session.quit().await,
            Inner::File(_) => {}
        }
    }
}
