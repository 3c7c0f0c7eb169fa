//! When to stop sending altogether, and how to find out that it may go on.
//!
//! [`Machine`] is the decision alone: events and moments go in, nothing is waited for. [`CircuitBreaker`] is what the
//! sending slots share. The reasons come from [`classify`](crate::send::classify).

mod handle;

use std::time::{Duration, Instant};

use platform::backoff::Backoff;

pub use handle::{CircuitBreaker, Permit};

use crate::send::classify::Outage;

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The mail server, or what it thinks of us.
    MailServer(Outage),
    /// The database that remembers what was sent.
    LedgerDown,
    /// The worker has just started: the mail server has not greeted yet.
    NotProven,
}

impl Cause {
    /// A stable word for metrics and health.
    pub fn slug(self) -> &'static str {
        match self {
            Self::MailServer(outage) => outage.slug(),
            Self::LedgerDown => "ledger-down",
            Self::NotProven => "not-proven",
        }
    }

    fn probe(self) -> Option<Probe> {
        match self {
            Self::NotProven
            | Self::MailServer(
                Outage::Unreachable
                | Outage::Tls
                | Outage::NotGreeted
                | Outage::TooManyConnections
                | Outage::LoginRefused,
            ) => Some(Probe::MailServer),
            // Only a mail can show that mails are taken again.
            Self::MailServer(
                Outage::LoginWanted
                | Outage::SenderRefused
                | Outage::ServerError
                | Outage::Throttled
                | Outage::QuotaUsedUp
                | Outage::EveryoneRefused
                | Outage::NoAnswerAfterData,
            ) => None,
            Self::LedgerDown => Some(Probe::Ledger),
        }
    }
}

/// Between two looks at a quota that is used up: it comes back by the hour or the day, and providers count each try.
const QUOTA: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(900));

/// At most this long between two looks for a connection: whoever has one of ours leaves it free no longer.
const CONNECTION: Duration = Duration::from_secs(4);

/// At most this long between two looks for a server that is away, by a worker that has not begun: it comes up as soon
/// as the server does.
const BEGINNING: Duration = Duration::from_secs(4);

const NO_ANSWER: Cause = Cause::MailServer(Outage::NoAnswerAfterData);

/// How to find out whether it may go on without risking a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Open a session with the mail server and close it.
    MailServer,
    /// Ask the ledger.
    Ledger,
}

/// How much mails must show that try a server which refuses everyone, one after the other, before it is left alone again:
/// five at domains that took mail before, or fifty others. Those are most likely for domains that refuse anyway; they lose
/// an attempt by it.
const ENOUGH: u8 = 50;

/// Whether mails are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are.
    Closed,
    /// They are not.
    Open {
        /// Why.
        cause: Cause,
        /// Since when, half-open times included.
        since: Instant,
        /// When to look again.
        next_probe: Instant,
    },
    /// One mail is, and decides.
    HalfOpen {
        /// Why none were.
        cause: Cause,
        /// Since when none are.
        since: Instant,
        /// Since when one may be; `None` while it is under way.
        free: Option<Instant>,
        /// How much the mails show that were tried and refused, this time.
        refused: u8,
    },
}

impl State {
    /// Whether nothing is to be tried, whatever the cause: a probe is waited for.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// How it went with an admitted mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The server took it.
    Accepted,
    /// It failed, and the fault is its own: it says nothing of others.
    ItsOwnFault,
    /// It was refused, and others may be for the same reason: ten if the domain took mail before, else one.
    Refused(u8),
    /// The server took its last byte, and did not answer.
    Unanswered,
    /// The server, or the ledger, has an outage.
    Outage(Cause),
    /// It was not sent after all.
    NotSent,
}

/// One mail may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    round: u64,
    probing: Option<Cause>,
}

impl Admission {
    /// The cause that this one mail is to disprove, if the circuit is half-open.
    pub fn probing(self) -> Option<Cause> {
        self.probing
    }
}

/// The state machine.
#[derive(Debug)]
pub struct Machine {
    state: State,
    /// Counts the times it was closed or half-opened: what was admitted before says nothing about now.
    round: u64,
    backoff: Backoff,
    /// The server has greeted, or taken a mail.
    proven: bool,
}

impl Machine {
    /// Closed. Between two probes pass `min` to `max`, more from time to time, until a mail has been accepted.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { state: State::Closed, round: 0, backoff: Backoff::new(min, max), proven: true }
    }

    /// Open, until the mail server has greeted once: it is to be probed at `now`.
    pub fn unproven(min: Duration, max: Duration, now: Instant) -> Self {
        let state = State::Open { cause: Cause::NotProven, since: now, next_probe: now };
        Self { state, proven: false, ..Self::new(min, max) }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Asks to send one mail; [`record`](Self::record) must follow.
    pub fn admit(&mut self) -> Option<Admission> {
        match &mut self.state {
            State::Closed => Some(Admission { round: self.round, probing: None }),
            State::Open { .. } | State::HalfOpen { free: None, .. } => None,
            State::HalfOpen { cause, free, .. } => {
                *free = None;
                Some(Admission { round: self.round, probing: Some(*cause) })
            }
        }
    }

    /// Takes note of how it went with an admitted mail. One that was admitted before the circuit last moved changes
    /// nothing: that a server hung a minute ago is no news.
    pub fn record(&mut self, admission: Admission, evidence: Evidence, now: Instant) {
        if admission.round != self.round {
            return;
        }
        match (self.state, evidence) {
            (State::Closed, Evidence::Accepted) => self.backoff.reset(),
            (State::HalfOpen { .. }, Evidence::Accepted) => {
                self.backoff.reset();
                self.close();
            }
            // Where no mail is answered for, one more shows nothing, and one that was refused may not have come so far.
            (State::HalfOpen { cause: NO_ANSWER, .. }, Evidence::Unanswered) => self.open(NO_ANSWER, now),
            (
                State::HalfOpen { cause: NO_ANSWER, since, refused, .. },
                Evidence::ItsOwnFault | Evidence::Refused(_),
            ) => {
                self.state = State::HalfOpen { cause: NO_ANSWER, since, free: Some(now), refused };
            }
            // Where everyone is refused, a refusal leaves it open; elsewhere the mail came further than those before.
            (
                State::HalfOpen { cause: cause @ Cause::MailServer(Outage::EveryoneRefused), since, refused, .. },
                Evidence::ItsOwnFault | Evidence::Refused(_) | Evidence::Unanswered,
            ) => {
                let shows = if let Evidence::Refused(shows) = evidence { shows } else { 0 };
                let refused = refused.saturating_add(shows);
                if refused < ENOUGH {
                    self.state = State::HalfOpen { cause, since, free: Some(now), refused };
                } else {
                    self.open(cause, now);
                }
            }
            (State::HalfOpen { .. }, Evidence::ItsOwnFault | Evidence::Refused(_) | Evidence::Unanswered) => {
                self.close();
            }
            (State::HalfOpen { cause, since, refused, .. }, Evidence::NotSent) => {
                self.state = State::HalfOpen { cause, since, free: Some(now), refused };
            }
            (State::Closed | State::HalfOpen { .. }, Evidence::Outage(cause)) => self.open(cause, now),
            (
                State::Closed,
                Evidence::ItsOwnFault | Evidence::Refused(_) | Evidence::Unanswered | Evidence::NotSent,
            )
            | (State::Open { .. }, _) => {}
        }
    }

    /// An outage that was found without a mail. Known outages are no news.
    pub fn on_failure(&mut self, cause: Cause, now: Instant) {
        if !matches!(self.state, State::Open { .. }) {
            self.open(cause, now);
        }
    }

    /// What to do at `now`: a probe, to be followed by [`on_probe_ok`](Self::on_probe_ok) or
    /// [`on_probe_err`](Self::on_probe_err); or nothing. Goes half-open by itself where only a mail can tell.
    pub fn due(&mut self, now: Instant) -> Option<Probe> {
        let State::Open { cause, since, next_probe } = self.state else { return None };
        if now < next_probe {
            return None;
        }
        let probe = cause.probe();
        if probe.is_none() {
            self.round += 1;
            self.state = State::HalfOpen { cause, since, free: Some(now), refused: 0 };
        }
        probe
    }

    /// The probe went well: mails are sent again.
    pub fn on_probe_ok(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.close();
        }
    }

    /// The probe showed `cause`, perhaps another than before.
    pub fn on_probe_err(&mut self, cause: Cause, now: Instant) {
        if matches!(self.state, State::Open { .. }) {
            self.open(cause, now);
        }
    }

    /// Somebody knows that the mail server is well: mails are sent, and if it is not, the circuit opens again for as long as it would have
    /// stayed open. Nobody can know it of the ledger, or of a server that has never greeted. Whether anything changed.
    pub fn on_closing(&mut self) -> bool {
        let closes = matches!(
            self.state,
            State::Open { cause: Cause::MailServer(_), .. } | State::HalfOpen { cause: Cause::MailServer(_), .. }
        );
        if closes {
            self.close();
        }
        closes
    }

    fn open(&mut self, cause: Cause, now: Instant) {
        let since = match self.state {
            State::Closed => now,
            State::Open { since, .. } | State::HalfOpen { since, .. } => since,
        };
        let wait = match cause {
            Cause::MailServer(Outage::QuotaUsedUp) => Backoff::new(QUOTA.0, QUOTA.1).next_delay(),
            Cause::MailServer(Outage::TooManyConnections) => self.backoff.next_delay().min(CONNECTION),
            Cause::MailServer(Outage::Unreachable) if !self.proven => self.backoff.next_delay().min(BEGINNING),
            _ => self.backoff.next_delay(),
        };
        self.state = State::Open { cause, since, next_probe: now + wait };
    }

    fn close(&mut self) {
        self.round += 1;
        self.proven = true;
        self.state = State::Closed;
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
