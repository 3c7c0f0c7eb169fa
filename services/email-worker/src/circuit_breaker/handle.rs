//! The circuit as the sending slots share it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::TaskId;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::{Admission, Cause, Evidence, Machine, Probe, State};
use crate::send::classify::{self, Everyone, Outage, TooMany, Unanswered};
use crate::smtp::SendError;

/// How long the right to try a server that refuses everyone is kept for mails that show more.
const PREFERENCE: Duration = Duration::from_millis(20);

/// Lets mails through while the circuit is closed, one while it is half-open, none while it is open. Cheap to clone.
///
/// It also judges whether the server refuses everyone, and which mail would show that it does no more.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    state: watch::Sender<State>,
}

struct Inner {
    machine: Machine,
    everyone: Everyone,
    unanswered: Unanswered,
    /// What was said last, and what it opened the circuit for, or would have.
    words: Option<(Cause, String)>,
}

impl CircuitBreaker {
    /// Closed circuit; `min` to `max` between two probes.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self::with(Machine::new(min, max))
    }

    /// Open until the mail server has greeted once; `min` to `max` between two probes.
    pub fn unproven(min: Duration, max: Duration) -> Self {
        Self::with(Machine::unproven(min, max, now()))
    }

    fn with(machine: Machine) -> Self {
        let state = watch::Sender::new(machine.state());
        let inner = Inner { machine, everyone: Everyone::default(), unanswered: Unanswered::default(), words: None };
        Self(Arc::new(Shared { inner: Mutex::new(inner), state }))
    }

    /// What has an outage said this, for whoever asks why nothing is sent. To be told before the circuit opens for it.
    pub fn heard(&self, cause: Cause, words: &impl fmt::Display) {
        self.lock().words = Some((cause, words.to_string()));
    }

    /// What was said last of this cause.
    pub fn words(&self, cause: Cause) -> Option<String> {
        self.lock().words.clone().and_then(|(of, words)| (of == cause).then_some(words))
    }

    /// Where the circuit stands.
    pub fn state(&self) -> State {
        *self.0.state.borrow()
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// Waits until one mail for this domain may be sent. Dropping the future costs nothing.
    pub async fn permit(&self, domain: &str) -> Permit {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            let wake = match self.admit(domain) {
                Ok(permit) => return permit,
                Err(wake) => wake,
            };
            tokio::select! {
                () = until(wake) => {}
                // The sender lives as long as this breaker.
                _ = changes.changed() => {}
            }
        }
    }

    /// A permit, if one mail for this domain may be sent now.
    pub fn try_permit(&self, domain: &str) -> Option<Permit> {
        self.admit(domain).ok()
    }

    /// A permit, or when to ask again if nothing changes until then.
    fn admit(&self, domain: &str) -> Result<Permit, Option<Instant>> {
        let admission = self.change(|inner| match inner.its_turn(domain) {
            Some(turn) if turn > now() => Err(Some(turn)),
            _ => inner.machine.admit().ok_or(None),
        })?;
        Ok(Permit { breaker: self.clone(), admission, domain: domain.to_owned(), recorded: false })
    }

    /// An outage that was found without a mail: the ledger that did not answer, a session that did not open.
    pub fn fail(&self, cause: Cause, words: &impl fmt::Display) {
        self.heard(cause, words);
        self.change(|inner| inner.machine.on_failure(cause, now()));
    }

    /// Waits until the circuit is open and a probe is due; tell with [`probed`](Self::probed) how it went. One task a
    /// breaker calls this in a loop. Circuits that only a mail can close are half-opened on the way.
    pub async fn next_probe(&self) -> Probe {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            if let Some(probe) = self.change(|inner| inner.machine.due(now())) {
                return probe;
            }
            let wake = match self.state() {
                State::Open { next_probe, .. } => Some(next_probe),
                State::Closed | State::HalfOpen { .. } => None,
            };
            tokio::select! {
                () = until(wake) => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// An operator has it closed. Whether anything changed.
    pub fn close(&self) -> bool {
        self.change(|inner| inner.machine.on_closing())
    }

    /// What the probe showed.
    pub fn probed(&self, outcome: Result<(), Cause>) {
        self.change(|inner| match outcome {
            Ok(()) => inner.machine.on_probe_ok(),
            Err(cause) => inner.machine.on_probe_err(cause, now()),
        });
    }

    fn record(&self, admission: Admission, evidence: Evidence) {
        self.change(|inner| inner.machine.record(admission, evidence, now()));
    }

    fn recipient_taken(&self, domain: &str) {
        self.change(|inner| inner.everyone.recipient_taken(domain));
    }

    fn accepted(&self, admission: Admission, domain: &str) {
        self.change(|inner| {
            inner.everyone.accepted(domain);
            inner.unanswered.answered();
            inner.machine.record(admission, Evidence::Accepted, now());
        });
    }

    fn refused(&self, admission: Admission, domain: &str, mail: TaskId, error: &SendError) {
        const EVERYONE: Cause = Cause::MailServer(Outage::EveryoneRefused);
        let everyone = self.change(|inner| {
            let was_closed = inner.machine.state() == State::Closed;
            let everyone = inner.everyone.refused(mail, domain, error.stage()).err();
            // Where it is known, those that try it are counted by the machine.
            let everyone = everyone.filter(|_| admission.probing() != Some(EVERYONE));
            if everyone.is_some() {
                inner.words = Some((EVERYONE, error.to_string()));
            }
            let refused = Evidence::Refused(inner.everyone.shows(domain));
            inner.machine.record(
                admission,
                if everyone.is_some() { Evidence::Outage(EVERYONE) } else { refused },
                now(),
            );
            everyone.filter(|_| was_closed)
        });
        if let Some(TooMany { mails, domains }) = everyone {
            tracing::warn!(
                cause = Outage::EveryoneRefused.slug(),
                mails,
                domains = domains.join(" "),
                %error,
                "the mail server refuses one mail after the other, for several domains: the circuit opens"
            );
        }
    }

    /// Whether the circuit has opened with this.
    fn unanswered(&self, admission: Admission, mail: TaskId, error: &SendError) -> bool {
        const SILENT: Cause = Cause::MailServer(Outage::NoAnswerAfterData);
        self.change(|inner| {
            let was_closed = inner.machine.state() == State::Closed;
            let too_many = inner.unanswered.unanswered(mail);
            if too_many {
                inner.words = Some((SILENT, error.to_string()));
            }
            inner.machine.record(
                admission,
                if too_many { Evidence::Outage(SILENT) } else { Evidence::Unanswered },
                now(),
            );
            was_closed && inner.machine.state() != State::Closed
        })
    }

    fn change<T>(&self, event: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let answer = event(&mut inner);
        let after = inner.machine.state();
        // Published under the lock, so that changes are seen in the order in which they happened.
        self.0.state.send_if_modified(|published| {
            let moved = *published != after;
            *published = after;
            moved
        });
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// From when on a mail for this domain may try a server that refuses everyone; `None`: there is no such order.
    fn its_turn(&self, domain: &str) -> Option<Instant> {
        match self.machine.state() {
            State::HalfOpen { cause: Cause::MailServer(Outage::EveryoneRefused), free: Some(free), .. } => {
                Some(free + PREFERENCE * self.everyone.rank(domain))
            }
            _ => None,
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreaker").field(&self.state()).finish()
    }
}

/// The right to send one mail. Say how it went; a permit that is dropped counts as not used.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as not used"]
pub struct Permit {
    breaker: CircuitBreaker,
    admission: Admission,
    domain: String,
    recorded: bool,
}

impl Permit {
    /// The cause that this one mail is to disprove, if the circuit is half-open.
    pub fn probing(&self) -> Option<Cause> {
        self.admission.probing()
    }

    /// The server took the recipient: it does not refuse everyone there, whatever becomes of the mail.
    pub fn recipient_taken(&self) {
        self.breaker.recipient_taken(&self.domain);
    }

    /// The server took the mail.
    pub fn accepted(mut self) {
        self.recorded = true;
        self.breaker.accepted(self.admission, &self.domain);
    }

    /// The mail failed, by a refusal for now or for good, or since the conversation broke off and the server greeted again.
    pub fn refused(mut self, mail: TaskId, error: &SendError) {
        if classify::tells_of_the_server(error) {
            self.recorded = true;
            self.breaker.refused(self.admission, &self.domain, mail, error);
        } else {
            self.record(Evidence::ItsOwnFault);
        }
    }

    /// The server is well, and wants the mail later: it says nothing about the mail.
    pub fn put_off(self) {
        self.record(Evidence::ItsOwnFault);
    }

    /// The server took the mail's last byte and did not answer; it greeted again. True if that opened the circuit.
    pub fn unanswered(mut self, mail: TaskId, error: &SendError) -> bool {
        self.recorded = true;
        self.breaker.unanswered(self.admission, mail, error)
    }

    /// The server, or the ledger, has an outage, and said this.
    pub fn outage(self, cause: Cause, words: &impl fmt::Display) {
        self.breaker.heard(cause, words);
        self.record(Evidence::Outage(cause));
    }

    fn record(mut self, evidence: Evidence) {
        self.recorded = true;
        self.breaker.record(self.admission, evidence);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.recorded {
            self.breaker.record(self.admission, Evidence::NotSent);
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
