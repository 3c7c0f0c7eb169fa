//! The circuit as the sending slots share it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::TaskId;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::{Cause, Circuit, Probe, Settled, State, Ticket};
use crate::disposition::{Illness, Outcome, RefusedInARow};

/// Lets mails through while the circuit is closed, one while it is half-open, none while it is open. Cheap to clone.
///
/// It also counts the mails that are refused in a row, and opens when the table says so.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    state: watch::Sender<State>,
}

struct Inner {
    circuit: Circuit,
    refused: RefusedInARow,
}

impl Gate {
    /// Closed circuit; `min` to `max` between two probes.
    pub fn new(min: Duration, max: Duration) -> Self {
        let inner = Inner { circuit: Circuit::new(min, max), refused: RefusedInARow::default() };
        Self(Arc::new(Shared { inner: Mutex::new(inner), state: watch::Sender::new(State::Closed) }))
    }

    /// Where the circuit stands.
    pub fn state(&self) -> State {
        *self.0.state.borrow()
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// Waits until one mail may be sent. Dropping the future costs nothing.
    pub async fn pass(&self) -> Pass {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            if let Some(pass) = self.try_pass() {
                return pass;
            }
            // The sender lives as long as this gate.
            let _ = changes.changed().await;
        }
    }

    /// A pass, if one mail may be sent now.
    pub fn try_pass(&self) -> Option<Pass> {
        let ticket = self.change(|inner| inner.circuit.admit())?;
        Some(Pass { gate: self.clone(), ticket, settled: false })
    }

    /// Something is ill, found without a mail: the ledger that did not answer, a session that did not open.
    pub fn fail(&self, cause: Cause) {
        self.change(|inner| inner.circuit.on_failure(cause, now()));
    }

    /// Waits until the circuit is open and a probe is due; tell with [`probed`](Self::probed) how it went. One task a
    /// gate calls this in a loop. Circuits that only a mail can close are half-opened on the way.
    pub async fn next_probe(&self) -> Probe {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            if let Some(probe) = self.change(|inner| inner.circuit.due(now())) {
                return probe;
            }
            let wake = match self.state() {
                State::Open { next_probe, .. } => Some(next_probe),
                State::Closed | State::HalfOpen { .. } => None,
            };
            let due = async {
                match wake {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// What the probe showed.
    pub fn probed(&self, outcome: Result<(), Cause>) {
        self.change(|inner| match outcome {
            Ok(()) => inner.circuit.on_probe_ok(),
            Err(cause) => inner.circuit.on_probe_err(cause, now()),
        });
    }

    fn settle(&self, ticket: Ticket, settled: Settled, mail: Option<(TaskId, Outcome)>) {
        self.change(|inner| {
            let too_many = mail.is_some_and(|(id, outcome)| inner.refused.note(id, outcome).is_err());
            let settled = if too_many { Settled::Ill(Cause::MailServer(Illness::EveryoneRefused)) } else { settled };
            inner.circuit.settle(ticket, settled, now());
        });
    }

    fn change<T>(&self, event: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner: MutexGuard<'_, Inner> = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = event(&mut inner);
        let after = inner.circuit.state();
        // Published under the lock, so that changes are seen in the order in which they happened.
        self.0.state.send_if_modified(|published| {
            let moved = *published != after;
            *published = after;
            moved
        });
        answer
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.state()).finish()
    }
}

/// The right to send one mail. Say how it went; a pass that is dropped counts as not used.
#[derive(Debug)]
#[must_use = "a pass that is dropped counts as not used"]
pub struct Pass {
    gate: Gate,
    ticket: Ticket,
    settled: bool,
}

impl Pass {
    /// The cause that this one mail is to disprove, if the circuit is half-open.
    pub fn probing(&self) -> Option<Cause> {
        self.ticket.probing()
    }

    /// The server took the mail.
    pub fn accepted(self, mail: TaskId) {
        self.settle(Settled::Accepted, Some((mail, Outcome::Accepted)));
    }

    /// The server refused the mail, for now or for good.
    pub fn refused(self, mail: TaskId) {
        self.settle(Settled::ItsOwnFault, Some((mail, Outcome::Refused)));
    }

    /// The conversation broke off, and the server greeted again.
    pub fn broken_off(self, mail: TaskId) {
        self.settle(Settled::ItsOwnFault, Some((mail, Outcome::BrokenOff)));
    }

    /// The server is well, and wants the mail later: it says nothing about the mail.
    pub fn put_off(self) {
        self.settle(Settled::ItsOwnFault, None);
    }

    /// The server, or the ledger, is ill.
    pub fn ill(self, cause: Cause) {
        self.settle(Settled::Ill(cause), None);
    }

    fn settle(mut self, settled: Settled, mail: Option<(TaskId, Outcome)>) {
        self.settled = true;
        self.gate.settle(self.ticket, settled, mail);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.settled {
            self.gate.settle(self.ticket, Settled::NotSent, None);
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SENDER: Cause = Cause::MailServer(Illness::SenderRefused);
    const DOWN: Cause = Cause::MailServer(Illness::Unreachable);

    fn gate() -> Gate {
        Gate::new(MS, 2 * MS)
    }

    async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap_or_else(|_| panic!("not within 5 s: {what}"))
    }

    #[tokio::test]
    async fn waiting_slots_go_on_when_the_probe_goes_well() {
        let gate = gate();
        gate.fail(DOWN);
        assert!(gate.try_pass().is_none());
        let slots: Vec<_> = (0..16)
            .map(|_| {
                tokio::spawn({
                    let gate = gate.clone();
                    async move { gate.pass().await.accepted(TaskId::new()) }
                })
            })
            .collect();
        assert_eq!(soon("a probe", gate.next_probe()).await, Probe::Greet);
        gate.probed(Err(DOWN));
        assert_eq!(soon("a second probe", gate.next_probe()).await, Probe::Greet);
        gate.probed(Ok(()));
        for slot in slots {
            soon("each slot", slot).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_half_open_gate_lets_one_mail_through_and_passes_an_unused_right_on() {
        let gate = gate();
        gate.try_pass().unwrap().ill(SENDER);
        let prober = tokio::spawn({
            let gate = gate.clone();
            async move { gate.next_probe().await }
        });
        let first = soon("half-open", gate.pass()).await;
        assert_eq!(first.probing(), Some(SENDER));
        assert!(gate.try_pass().is_none(), "a second mail was let through");
        drop(first);
        let second = soon("the right that was not used", gate.pass()).await;
        second.accepted(TaskId::new());
        assert_eq!(gate.state(), State::Closed);
        prober.abort();
    }

    #[tokio::test]
    async fn twenty_distinct_refusals_in_a_row_open_the_gate() {
        let gate = gate();
        for n in 0..RefusedInARow::LIMIT {
            assert_eq!(gate.state(), State::Closed, "after {n}");
            gate.try_pass().unwrap().refused(TaskId::new());
        }
        let State::Open { cause, .. } = gate.state() else { panic!("still {:?}", gate.state()) };
        assert_eq!(cause, Cause::MailServer(Illness::EveryoneRefused));
    }
}
