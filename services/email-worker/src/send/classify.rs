//! What a failure means for the mail and for the server: decided here and nowhere else, without I/O.
//!
//! The table is "What a mail server's answer means" in `docs/architecture.md`; the tests below have a row for each of its
//! cells.

mod doubt;
mod everyone;
mod phrases;
mod reading;
mod reason;
mod unanswered;
mod unknown;

use contract::Malformed;

pub use doubt::{Advice, Doubts, Kind, Unclear, Whose};
pub use everyone::{Everyone, TooMany};
pub use reading::{Concerns, Lasting, Reading, read};
pub use reason::Reason;
pub use unanswered::Unanswered;
pub use unknown::{Unknown, unknown};

use crate::smtp::{Broken, Reply, SendError, Stage, Unsendable};

/// What a failure asks for: a reply of the mail server, or a conversation that broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classification {
    /// The server, or our login or sender there, has an outage: open the circuit. The mail has spent nothing.
    CircuitOpen(Outage),
    /// More mails a second than the server takes of us. The mail has spent nothing.
    TooFast,
    /// More connections than the server takes of us. The mail has spent nothing.
    TooManyConnections,
    /// This mail, for now: to a retry queue.
    Retry(Reason),
    /// This mail, for good: to the dead letters.
    Dead(DeadReason),
    /// It was handed over whole, and no answer came: the mail may have been sent.
    OutcomeUnknown,
    /// The conversation broke off after `MAIL`: open another session to learn whose fault it was. A server that greets
    /// again is well, so that it was this mail; one that does not has an outage, and nobody knows about the mail.
    Reconnect,
}

/// What is wrong with the server, or with us in its eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outage {
    /// It cannot be reached, or does not greet.
    Unreachable,
    /// No secure connection comes about: its certificate, or how the connection is to be secured.
    Tls,
    /// It does not let us in, or says that it is closing.
    NotGreeted,
    /// It takes no more connections, and none of ours stands.
    TooManyConnections,
    /// It does not take our login, or offers none that we know.
    LoginRefused,
    /// It lets us in, and then wants a login, another one, or TLS (530, 534, 535, 538, 454 at `MAIL` or later).
    LoginWanted,
    /// It takes no mail from our sender.
    SenderRefused,
    /// It lets us in, and has trouble of its own at `MAIL`.
    ServerError,
    /// It says of every mail that it comes too fast, however slowly they come.
    Throttled,
    /// What our account may send in a day has been sent.
    QuotaUsedUp,
    /// It refuses one mail after the other, at several domains.
    EveryoneRefused,
    /// It takes the content of one mail after the other, and does not say what becomes of them.
    NoAnswerAfterData,
}

impl Outage {
    /// A stable word for metrics and health.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::NotGreeted => "not-greeted",
            Self::TooManyConnections => "too-many-connections",
            Self::LoginRefused => "login-refused",
            Self::LoginWanted => "login-wanted",
            Self::SenderRefused => "sender-refused",
            Self::ServerError => "server-error",
            Self::Throttled => "throttled",
            Self::QuotaUsedUp => "quota-used-up",
            Self::EveryoneRefused => "everyone-refused",
            Self::NoAnswerAfterData => "no-answer-after-data",
        }
    }
}

/// Why a task ends in the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReason {
    /// It is no task.
    Malformed(Malformed),
    /// Older than the ledger remembers: it might be a second copy.
    TooOld,
    /// It crashed its worker, alone, again and again.
    CrashesWorker,
    /// The server refused it for good.
    Refused(Reason),
    /// Nobody knew mails of its type until time was up.
    UnknownType,
    /// Its data is not what its type asks for.
    WrongData,
    /// A template did not bear its data.
    Unrenderable,
    /// Handed over to the mail server as often as may be, and never answered.
    OutcomeUnknown,
    /// Failed for now until time was up.
    GaveUp,
}

impl DeadReason {
    /// A stable word for the header, to count and to select by.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.reason(),
            Self::TooOld => "too-old-to-deduplicate",
            Self::CrashesWorker => "crashes-worker",
            Self::Refused(reason) => reason.slug(),
            Self::UnknownType => "unknown-type",
            Self::WrongData => "wrong-data",
            Self::Unrenderable => "unrenderable",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::GaveUp => "gave-up",
        }
    }

    /// Was the mail tried, and that attempt its last? The others were never tried this time.
    pub fn ended_an_attempt(&self) -> bool {
        match self {
            Self::Refused(_) | Self::OutcomeUnknown | Self::GaveUp | Self::UnknownType => true,
            Self::Malformed(_) | Self::TooOld | Self::CrashesWorker | Self::WrongData | Self::Unrenderable => false,
        }
    }
}

impl Classification {
    /// What `error` means. A stale session ([`SendError::session_was_stale`]) is to be looked for first: there the mail was
    /// not spoken of, and another session is opened at once.
    pub fn of(error: &SendError) -> Self {
        match error {
            SendError::Refused { stage, reply, .. } => classify_reply(*stage, reply),
            SendError::Broken { stage: Stage::Connect, cause, .. } => Self::CircuitOpen(match cause {
                Broken::Lacks(_) => Outage::LoginRefused,
                Broken::Tls(_) => Outage::Tls,
                _ => Outage::Unreachable,
            }),
            SendError::Broken { .. } => Self::Reconnect,
            SendError::Unanswered { .. } => Self::OutcomeUnknown,
            SendError::Unsendable(Unsendable::NeedsSmtpUtf8) => Self::Dead(DeadReason::Refused(Reason::NeedsSmtpUtf8)),
        }
    }

    /// What it means for the one mail that a half-open circuit admits while everyone is refused: a server that refuses
    /// everyone has not judged this mail, so that it is not lost to it.
    #[must_use]
    pub fn while_everyone_is_refused(self) -> Self {
        match self {
            Self::Dead(DeadReason::Refused(reason)) if !reason.is_the_addresss_own() => Self::Retry(reason),
            other => other,
        }
    }

    /// What it means over a connection that may be one too many: a server that says no more there than "not now", before any
    /// mail was spoken of.
    #[must_use]
    pub fn where_one_may_be_too_many(self, error: &SendError) -> Self {
        match (self, error) {
            (
                Self::TooFast | Self::CircuitOpen(Outage::ServerError | Outage::SenderRefused),
                SendError::Refused { stage: Stage::Mail, reply, .. },
            ) if (400..500).contains(&reply.code) => Self::TooManyConnections,
            (class, _) => class,
        }
    }

    /// What is wrong with the server if no session could be opened.
    pub fn outage(&self) -> Outage {
        match self {
            Self::CircuitOpen(outage) => *outage,
            Self::TooFast => Outage::NotGreeted,
            Self::TooManyConnections => Outage::TooManyConnections,
            Self::Retry(_) | Self::Dead(_) | Self::OutcomeUnknown | Self::Reconnect => Outage::Unreachable,
        }
    }
}

fn classify_reply(stage: Stage, reply: &Reply) -> Classification {
    let Reading { reason, lasting, concerns } = read(stage, reply);
    match (stage, reply.code, reason) {
        // A limit of the account, at whatever stage it is told.
        (_, _, Reason::QuotaUsedUp) => Classification::CircuitOpen(Outage::QuotaUsedUp),
        (_, _, Reason::TooManyConnections) => Classification::TooManyConnections,
        (_, _, Reason::Speeding) if concerns == Concerns::Us => Classification::TooFast,

        (Stage::Connect, 530 | 534 | 535 | 538, _) => Classification::CircuitOpen(Outage::LoginRefused),
        (Stage::Connect, ..) => Classification::CircuitOpen(Outage::NotGreeted),
        // Whatever was asked: without a login, or without TLS, this server will never take anything.
        (_, 530 | 534 | 535 | 538, _) => Classification::CircuitOpen(Outage::LoginWanted),
        (_, 454, _) if is_about_tls(reply) => Classification::CircuitOpen(Outage::LoginWanted),

        (Stage::Mail, ..) => classify_at_mail(reply, reason, lasting),

        (_, 421, Reason::SystemError | Reason::Unclear) => Classification::Reconnect,
        // Our account was stopped: said of one mail, meant for all.
        (_, _, Reason::Rejected) if phrases::stop_us(&reply.text) => Classification::CircuitOpen(Outage::SenderRefused),
        (..) if lasting == Lasting::Now => Classification::Retry(reason),
        (..) => Classification::Dead(DeadReason::Refused(reason)),
    }
}

/// Only size and address are the mail's own here; all else is refused to everyone.
fn classify_at_mail(reply: &Reply, reason: Reason, lasting: Lasting) -> Classification {
    match (reason, lasting) {
        (Reason::MailTooLarge | Reason::NeedsSmtpUtf8, Lasting::ForGood) => {
            Classification::Dead(DeadReason::Refused(reason))
        }
        (Reason::SecurityError, Lasting::ForGood) => Classification::CircuitOpen(Outage::LoginWanted),
        // Closing, on a session just opened: there is no pace at which it would not.
        (Reason::SystemError | Reason::SystemFull, _) if reply.code == 421 => {
            Classification::CircuitOpen(Outage::ServerError)
        }
        (Reason::SystemError | Reason::SystemFull, Lasting::Now) => Classification::TooFast,
        (Reason::SystemError | Reason::SystemFull, Lasting::ForGood) => {
            Classification::CircuitOpen(Outage::ServerError)
        }
        _ => Classification::CircuitOpen(Outage::SenderRefused),
    }
}

fn is_about_tls(reply: &Reply) -> bool {
    let text = reply.text.to_ascii_uppercase();
    reply.is_about(7, 5) || text.contains("TLS") || text.contains("SSL")
}

/// Why a mail was not accepted, for metrics and logs.
pub fn reason(error: &SendError) -> Reason {
    match error {
        SendError::Refused { stage, reply, .. } => read(*stage, reply).reason,
        SendError::Broken { .. } | SendError::Unanswered { .. } => Reason::BrokenOff,
        SendError::Unsendable(Unsendable::NeedsSmtpUtf8) => Reason::NeedsSmtpUtf8,
    }
}

/// Whether a failure tells what the server thinks of others than this recipient. What is for now alone is no judgement, but
/// for trouble of the server's own; an unknown address, or a dead domain, is nobody else's fault.
pub fn tells_of_the_server(error: &SendError) -> bool {
    match error {
        SendError::Refused { stage, reply, .. } => {
            let Reading { reason, lasting, .. } = read(*stage, reply);
            let own_trouble = matches!(reason, Reason::SystemError | Reason::SystemFull);
            (lasting == Lasting::ForGood || own_trouble) && !reason.is_the_addresss_own()
        }
        SendError::Broken { .. } | SendError::Unanswered { .. } => true,
        SendError::Unsendable(_) => false,
    }
}

#[cfg(test)]
mod tests;
