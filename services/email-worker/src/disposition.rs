//! What a failure means for the mail and for the server: decided here and nowhere else, without I/O.
//!
//! The table is "What a mail server's answer means" in `docs/architecture.md`; the tests below have a row for each of its
//! cells.

mod refusals;

use std::time::{Duration, SystemTime};

use contract::{Attempt, Malformed};

pub use refusals::{Outcome, RefusedInARow, TooMany};

use crate::email::{Broken, Reply, SendError, Stage, Unsendable};

/// What to do after a mail was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server, or our login or sender there, is ill: open the circuit. The mail has spent nothing.
    CircuitOpen(Illness),
    /// This mail, for now: up the ladder.
    Retry,
    /// This mail, for good: to the dead letters.
    Dead(DeadReason),
    /// The conversation broke off after `MAIL`: open another session to learn whose fault it was, and ask
    /// [`after_reconnect`].
    Reconnect,
}

/// What is wrong with the server, or with us in its eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Illness {
    /// It cannot be reached, does not greet, or gives no secure connection.
    Unreachable,
    /// It does not let us in, or says that it is closing.
    NotGreeted,
    /// It does not take our login, or offers none that we know.
    LoginRefused,
    /// It lets us in, and then wants a login, another one, or TLS (530, 534, 535, 538, 454 at `MAIL` or later).
    LoginWanted,
    /// It takes no mail from our sender.
    SenderRefused,
    /// It refuses one mail after the other.
    EveryoneRefused,
}

impl Illness {
    /// A stable word for metrics and health.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NotGreeted => "not-greeted",
            Self::LoginRefused => "login-refused",
            Self::LoginWanted => "login-wanted",
            Self::SenderRefused => "sender-refused",
            Self::EveryoneRefused => "everyone-refused",
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
    /// The server refused the recipient for good.
    RecipientRefused,
    /// The server refused the content for good.
    ContentRefused,
    /// The server takes no mail of this size.
    TooLarge,
    /// The server cannot deliver to an address beyond ASCII.
    NeedsSmtpUtf8,
    /// The mail could not be written.
    Unrenderable,
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
            Self::RecipientRefused => "recipient-refused",
            Self::ContentRefused => "content-refused",
            Self::TooLarge => "mail-too-large",
            Self::NeedsSmtpUtf8 => "needs-smtputf8",
            Self::Unrenderable => "unrenderable",
            Self::GaveUp => "gave-up",
        }
    }
}

impl Verdict {
    /// What it means for the one mail that a half-open circuit admits while everyone is refused: a server that refuses
    /// everyone has not judged this mail, so that it is not lost to it.
    #[must_use]
    pub fn while_everyone_is_refused(self) -> Self {
        match self {
            Self::Dead(DeadReason::RecipientRefused | DeadReason::ContentRefused) => Self::Retry,
            other => other,
        }
    }
}

/// What `error` means. A stale session ([`SendError::session_was_stale`]) is to be looked for first: there the mail was
/// not spoken of, and another session is opened at once.
pub fn judge(error: &SendError) -> Verdict {
    match error {
        SendError::Refused { stage, reply, .. } => judge_reply(*stage, reply),
        SendError::Broken { stage: Stage::Connect, cause, .. } => Verdict::CircuitOpen(match cause {
            Broken::Lacks(_) => Illness::LoginRefused,
            _ => Illness::Unreachable,
        }),
        SendError::Broken { .. } => Verdict::Reconnect,
        SendError::Unsendable(Unsendable::NeedsSmtpUtf8) => Verdict::Dead(DeadReason::NeedsSmtpUtf8),
        SendError::Unsendable(Unsendable::Template(_)) => Verdict::Dead(DeadReason::Unrenderable),
    }
}

fn judge_reply(stage: Stage, reply: &Reply) -> Verdict {
    match (stage, reply.code) {
        (Stage::Connect, 530 | 534 | 535 | 538) => Verdict::CircuitOpen(Illness::LoginRefused),
        (Stage::Connect, _) => Verdict::CircuitOpen(Illness::NotGreeted),
        // Whatever was asked: without a login, or without TLS, this server will never take anything.
        (_, 530 | 534 | 535 | 538) => Verdict::CircuitOpen(Illness::LoginWanted),
        (_, 454) if is_about_tls(reply) => Verdict::CircuitOpen(Illness::LoginWanted),

        (Stage::Mail, 552) => Verdict::Dead(DeadReason::TooLarge),
        (Stage::Mail, 500..) if reply.is_about(3, 4) => Verdict::Dead(DeadReason::TooLarge),
        (Stage::Mail, 553 | 555) => Verdict::Dead(DeadReason::NeedsSmtpUtf8),
        (Stage::Mail, 500..) if reply.is_about(6, 7) => Verdict::Dead(DeadReason::NeedsSmtpUtf8),
        (Stage::Mail, _) => Verdict::CircuitOpen(Illness::SenderRefused),

        (Stage::Rcpt | Stage::Data | Stage::Content, 421) => Verdict::Reconnect,
        // A full mailbox is emptied some day.
        (Stage::Rcpt, 552) => Verdict::Retry,
        (Stage::Rcpt, 500..) => Verdict::Dead(DeadReason::RecipientRefused),
        (Stage::Data | Stage::Content, 500..) => Verdict::Dead(DeadReason::ContentRefused),
        (Stage::Rcpt | Stage::Data | Stage::Content, _) => Verdict::Retry,
    }
}

fn is_about_tls(reply: &Reply) -> bool {
    let text = reply.text.to_ascii_uppercase();
    reply.is_about(7, 5) || text.contains("TLS") || text.contains("SSL")
}

/// What a conversation that broke off means, once another session was asked for: a server that greets again is well,
/// so it was this mail; one that does not is ill, and nobody knows about the mail.
pub fn after_reconnect(greeted: bool) -> Verdict {
    if greeted { Verdict::Retry } else { Verdict::CircuitOpen(Illness::Unreachable) }
}

/// What comes after a failure for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To the rung with this delay.
    Rung(Duration),
    /// To the dead letters ([`DeadReason::GaveUp`]).
    GiveUp,
}

/// The next step of a mail that has failed `attempt` times before this failure, the first time at `first_failed` (`None`:
/// this was the first). The last rung is repeated until `give_up_after` has passed; without any rung it gives up at once.
pub fn next_step(
    attempt: Attempt,
    first_failed: Option<SystemTime>,
    now: SystemTime,
    ladder: &[Duration],
    give_up_after: Duration,
) -> Step {
    // Clocks differ between workers: a failure in the future was just now.
    let failing_for = first_failed.map_or(Duration::ZERO, |first| now.duration_since(first).unwrap_or_default());
    let rung = usize::try_from(u32::from(attempt)).unwrap_or(usize::MAX).min(ladder.len().saturating_sub(1));
    match ladder.get(rung) {
        Some(delay) if failing_for < give_up_after => Step::Rung(*delay),
        _ => Step::GiveUp,
    }
}

#[cfg(test)]
mod tests;
