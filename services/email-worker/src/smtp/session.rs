//! SMTP, command by command, so that it is known what the server refused.
//!
//! The library's own `send` hides the stage and hangs with a server that hangs; its pool takes the answer to one mail for
//! the answer to the next after a timeout. Here one sending slot owns one connection, and a connection that left any
//! question unanswered is never used again.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Noop, Quit, Rset};
use mail::Rendered;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::reply::{Accepted, Broken, SendError, Stage, Unsendable};
use super::server::Smtp;
use super::stream::BytesWritten;
use super::transaction::{Capabilities, Failure, Transaction};

/// RSET, NOOP: a healthy server answers these at once.
const SMALL_TALK: Duration = Duration::from_secs(5);
/// QUIT is a courtesy.
const GOODBYE: Duration = Duration::from_secs(2);

impl Smtp {
    pub(super) async fn open(&self) -> Result<SmtpSession, SendError> {
        let limit = self.options.connect_timeout;
        let opened = match timeout(limit, Box::pin(self.connect())).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::Broken(Broken::Timeout(limit))),
        };
        match opened {
            Ok((connection, capabilities, written)) => Ok(self.session(connection, capabilities, written)),
            Err(failure) => Err(failure.at(Stage::Connect, true)),
        }
    }

    pub(super) fn session(
        &self,
        connection: AsyncSmtpConnection,
        capabilities: Capabilities,
        written: BytesWritten,
    ) -> SmtpSession {
        SmtpSession {
            connection: Some(connection),
            capabilities,
            written,
            fresh: true,
            has_sent: false,
            idle_since: Instant::now(),
            send_timeout: self.options.send_timeout,
            data_timeout: self.options.data_timeout,
        }
    }
}

/// One connection. It is in here only while nothing is asked of it, so that dropping a future half way drops it too.
pub(super) struct SmtpSession {
    connection: Option<AsyncSmtpConnection>,
    capabilities: Capabilities,
    written: BytesWritten,
    fresh: bool,
    has_sent: bool,
    idle_since: Instant,
    send_timeout: Duration,
    data_timeout: Duration,
}

/// How far a transaction came.
struct Reached {
    stage: Stage,
    /// What the connection will have been given when the dot is among it.
    dot: Option<u64>,
}

impl fmt::Debug for SmtpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSession").field("usable", &self.is_usable()).finish_non_exhaustive()
    }
}

impl SmtpSession {
    pub(super) fn is_usable(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn idle_for(&self) -> Duration {
        self.idle_since.elapsed()
    }

    /// Sends one mail; `cut_off` ends the wait, and the session; `recipient_taken` is told before the content is said.
    pub(super) async fn send(
        &mut self,
        mail: &Rendered,
        cut_off: &CancellationToken,
        recipient_taken: &(dyn Fn() + Sync),
    ) -> Result<Accepted, SendError> {
        let fresh = self.fresh;
        let Some(mut connection) = self.connection.take() else {
            return Err(Failure::Broken(Broken::Dropped).at(Stage::Mail, fresh));
        };
        let Some(transaction) = Transaction::new(mail, connection.server_info()) else {
            self.connection = Some(connection);
            return Err(Unsendable::NeedsSmtpUtf8.into());
        };
        self.fresh = false;
        let mut reached = Reached { stage: Stage::Mail, dot: None };
        let sending = self.transact(&transaction, &mut connection, &mut reached, recipient_taken);
        let outcome = match cut_off.run_until_cancelled(sending).await {
            Some(outcome) => outcome,
            None => Err(Failure::Broken(Broken::CutOff)),
        };
        let intact = match &outcome {
            Ok(_) => true,
            // The server is about to hang up.
            Err(Failure::Refused(reply)) if reply.code == 421 => false,
            Err(Failure::Refused(_)) => {
                let limit = SMALL_TALK.min(self.send_timeout);
                matches!(timeout(limit, connection.command(Rset)).await, Ok(Ok(_)))
            }
            Err(Failure::Broken(_)) => false,
        };
        self.has_sent |= outcome.is_ok();
        if intact {
            self.connection = Some(connection);
            self.idle_since = Instant::now();
        }
        outcome.map_err(|failure| match failure {
            Failure::Broken(cause) if reached.dot.is_some_and(|dot| self.written.bytes() >= dot) => {
                SendError::Unanswered { cause }
            }
            failure => failure.at(reached.stage, fresh),
        })
    }

    /// One limit up to the dot, another for the answer to it: RFC 5321, section 4.5.3.2.
    async fn transact(
        &self,
        transaction: &Transaction<'_>,
        connection: &mut AsyncSmtpConnection,
        reached: &mut Reached,
        recipient_taken: &(dyn Fn() + Sync),
    ) -> Result<Accepted, Failure> {
        let (limit, deadline) = (self.send_timeout, Instant::now() + self.send_timeout);
        within(limit, deadline, transaction.begin(connection, self.capabilities, &mut reached.stage)).await?;
        recipient_taken();
        let dot = self.written.bytes() + transaction.length();
        *reached = Reached { stage: Stage::Content, dot: Some(dot) };
        let mut answer = pin!(transaction.hand_over(connection));
        let answered_or_said = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.map(Some)),
            Poll::Pending if self.written.bytes() >= dot => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        });
        match within(limit, deadline, answered_or_said).await? {
            Some(accepted) => Ok(accepted),
            None => within(self.data_timeout, Instant::now() + self.data_timeout, answer).await,
        }
    }

    pub(super) fn has_sent(&self) -> bool {
        self.has_sent
    }

    pub(super) fn rested(&mut self) {
        self.fresh = false;
    }

    pub(super) async fn check(&mut self) -> bool {
        let Some(mut connection) = self.connection.take() else { return false };
        if matches!(timeout(SMALL_TALK, connection.command(Noop)).await, Ok(Ok(_))) {
            self.connection = Some(connection);
            self.idle_since = Instant::now();
        }
        self.is_usable()
    }

    pub(super) async fn quit(mut self) {
        if let Some(mut connection) = self.connection.take() {
            // Whatever it answers, it is over.
            let _ = timeout(GOODBYE, connection.command(Quit)).await;
        }
    }
}

/// What is not done by the deadline is broken off; `limit` is what is said of it.
async fn within<T>(
    limit: Duration,
    deadline: Instant,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout_at(deadline, work).await.unwrap_or(Err(Failure::Broken(Broken::Timeout(limit))))
}
