//! Reads a refusal: why, for how long, and whom it is about. Pure; the table is in the tests.

use super::phrases::{self, About};
use super::reason::Reason;
use crate::smtp::{Reply, Stage};

/// For how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lasting {
    /// Another time it may work.
    Now,
    /// It will be so again.
    ForGood,
}

/// Whom it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Concerns {
    /// This recipient, or this mail.
    Recipient,
    /// The recipient's domain, and what it thinks of us.
    Domain,
    /// Our account, our sender, or the server as a whole: every mail.
    Us,
}

/// What a refusal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Why.
    pub reason: Reason,
    /// For how long.
    pub lasting: Lasting,
    /// Whom it is about.
    pub concerns: Concerns,
}

/// Reads `reply`, which was given at `stage`.
///
/// In this order: what an enhanced code says that leaves no room, what the words say, what other enhanced codes say, what
/// the three digits mean at this stage. How long it holds is the first digit's to say, but for a limit of the whole account:
/// that one passes, whatever the digit.
pub fn read(stage: Stage, reply: &Reply) -> Reading {
    let lower = words(reply);
    let code = Code::of(reply, &lower);
    let (reason, about) = certain(stage, &code)
        .map(|reason| (reason, About::Unsaid))
        .or_else(|| by_words(stage, &lower, &code))
        .or_else(|| by_enhanced_code(stage, &code).map(|reason| (reason, About::Unsaid)))
        .unwrap_or_else(|| (by_stage(stage, &code), About::Unsaid));
    let concerns = whom(stage, reason, about, &code);
    let ours_for_now = concerns == Concerns::Us
        && matches!(reason, Reason::Speeding | Reason::QuotaUsedUp | Reason::TooManyConnections);
    let lasting = if reply.is_transient() || ours_for_now { Lasting::Now } else { Lasting::ForGood };
    Reading { reason, lasting, concerns }
}

/// The codes of a reply: three digits, and subject and detail of RFC 3463 where it has one.
struct Code {
    basic: u16,
    enhanced: Option<(u16, u16)>,
}

impl Code {
    fn of(reply: &Reply, lower: &str) -> Self {
        let qmail = || {
            let code = lower.split_once("(#")?.1.split_once(')')?.0;
            let mut numbers = code.split('.').skip(1).map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        let enhanced = reply.enhanced.map(|(_, subject, detail)| (subject, detail)).or_else(qmail);
        Self { basic: reply.code, enhanced }
    }

    fn is_transient(&self) -> bool {
        self.basic < 500
    }
}

/// In lower case, on one line, without the enhanced code that servers repeat at the beginning of each.
fn words(reply: &Reply) -> String {
    let lower = reply.text.to_lowercase();
    let code = reply.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
    let kept: Vec<_> = lower.split_whitespace().filter(|word| Some(*word) != code.as_deref()).collect();
    kept.join(" ")
}

/// Codes that mean one thing, whatever the words beside them: these often speak of rates, and sending slower is no help.
fn certain(stage: Stage, code: &Code) -> Option<Reason> {
    Some(match code.enhanced? {
        (1, 1) if stage > Stage::Mail && !code.is_transient() => Reason::UserUnknown,
        (1, 7 | 8) => Reason::Rejected,
        (1, 90) | (4, 5) if !code.is_transient() => Reason::QuotaUsedUp,
        (2, 121 | 122) => Reason::Speeding,
        (3, 4) => Reason::MailTooLarge,
        (6, 7) => Reason::NeedsSmtpUtf8,
        (7, 23 | 24 | 26 | 27 | 30 | 32 | 509) => Reason::AuthFailure,
        (7, 25) => Reason::RequirePtr,
        (7, 28 | 508) => Reason::Speeding,
        (7, 29) => Reason::SecurityError,
        (7, 57) => Reason::SecurityError,
        (7, 606..=649) => Reason::Blocked,
        (7, 650) => Reason::BadReputation,
        _ => return None,
    })
}

fn by_words(stage: Stage, lower: &str, code: &Code) -> Option<(Reason, About)> {
    let (reason, about) = phrases::find(lower)?;
    if reason == Reason::Speeding
        && let Some(sign_of) = by_number(lower, code)
    {
        return Some((sign_of, About::Unsaid));
    }
    Some(fitting(reason, about, stage, code))
}

/// Words of spam or policy beside words of number. Those of policy are vaguer: the code must speak of one as well.
fn by_number(lower: &str, code: &Code) -> Option<Reason> {
    let reason = phrases::by_number(lower).filter(|_| !code.is_transient())?;
    let sure = reason == Reason::SpamDetected || matches!(code.enhanced, Some((7, _)));
    sure.then_some(reason)
}

/// A phrase where it would say something else than it is known for.
fn fitting(reason: Reason, about: About, stage: Stage, code: &Code) -> (Reason, About) {
    let fitting = match (reason, stage, code.enhanced) {
        // A mailbox's own quota, or its own day's mails: the code speaks of nobody else.
        (Reason::QuotaUsedUp, Stage::Rcpt | Stage::Data | Stage::Content, Some((subject @ (1 | 2 | 6), detail)))
            if about == About::Unsaid =>
        {
            let reason = match (subject, detail) {
                (2, 2) => Reason::MailboxFull,
                (6, _) => Reason::ContentRefused,
                _ => Reason::Speeding,
            };
            return (reason, About::Them);
        }
        // No mailbox is spoken of yet: the server has no room, or the mail is too large for it.
        (Reason::MailboxFull, Stage::Connect | Stage::Mail, _) if code.is_transient() => Reason::SystemFull,
        (Reason::MailboxFull, Stage::Connect | Stage::Mail, _) => Reason::MailTooLarge,
        (Reason::MailTooLarge, _, Some((2, 2))) => Reason::MailboxFull,
        // The sender's domain.
        (Reason::HostUnknown | Reason::UserUnknown, Stage::Mail, _) => Reason::Rejected,
        _ => reason,
    };
    (fitting, about)
}

fn by_enhanced_code(stage: Stage, code: &Code) -> Option<Reason> {
    let rcpt_or_later = stage > Stage::Mail;
    if matches!(code.basic, 530 | 534 | 535 | 538) {
        return Some(Reason::SecurityError);
    }
    Some(match code.enhanced? {
        (1, 10) if code.basic == 556 => Reason::NotAccepted,
        (1, 0 | 1 | 3 | 4 | 10) if rcpt_or_later && !code.is_transient() => Reason::UserUnknown,
        (1, 2) if rcpt_or_later => Reason::HostUnknown,
        (1, 6) if rcpt_or_later => Reason::HasMoved,
        (2, 1) if rcpt_or_later && !code.is_transient() => Reason::Suspended,
        (2, 2) if rcpt_or_later => Reason::MailboxFull,
        (2, 3) if rcpt_or_later => Reason::MailTooLarge,
        (1 | 2, _) if rcpt_or_later => Reason::RecipientRefused,
        (3, 1) => Reason::SystemFull,
        (3, 2) if rcpt_or_later && !code.is_transient() => Reason::NotAccepted,
        (3, _) => Reason::SystemError,
        (4, 4) if rcpt_or_later && !code.is_transient() => Reason::HostUnknown,
        (4, 7) => Reason::Expired,
        // The server's own connection to us.
        (4, 2 | 5) => Reason::SystemError,
        (4, _) if rcpt_or_later => Reason::NetworkError,
        // Outlook's code where nobody has the address, among others.
        (5, 0) if rcpt_or_later => Reason::RecipientRefused,
        (5, _) if !code.is_transient() && code.basic != 555 => Reason::SyntaxError,
        (6, 6 | 9) | (6, 0..=5) if stage >= Stage::Data => Reason::ContentError,
        (7, 500) if code.is_transient() => Reason::SystemError,
        (7, 8..=11) => Reason::SecurityError,
        (7, 20..=22) => Reason::AuthFailure,
        (7, _) if !code.is_transient() && rcpt_or_later => Reason::PolicyViolation,
        (7, _) if !code.is_transient() => Reason::Rejected,
        _ => return None,
    })
}

/// What the three digits mean where they were said.
fn by_stage(stage: Stage, code: &Code) -> Reason {
    match (stage, code.basic) {
        (_, 500..=504) => Reason::SyntaxError,
        (Stage::Connect, 520..) => Reason::NotAccepted,
        (Stage::Connect, _) => Reason::Unclear,
        // Nothing was said yet but who we are: a server that says "not now" here says it to everyone.
        (Stage::Mail, 452) => Reason::SystemFull,
        (Stage::Mail, 400..=499) => Reason::SystemError,
        (Stage::Mail, 552) => Reason::MailTooLarge,
        (Stage::Mail, 553 | 555) => Reason::NeedsSmtpUtf8,
        (Stage::Mail, _) => Reason::Rejected,
        (_, 421) => Reason::SystemError,
        (Stage::Rcpt | Stage::Data | Stage::Content, 452) => Reason::SystemFull,
        (Stage::Rcpt | Stage::Data | Stage::Content, 400..=499) => Reason::Unclear,
        (Stage::Rcpt, 521 | 556) => Reason::NotAccepted,
        (_, 552) => Reason::MailboxFull,
        (Stage::Rcpt, 551) => Reason::HasMoved,
        (Stage::Rcpt, _) => Reason::RecipientRefused,
        (Stage::Data | Stage::Content, _) => Reason::ContentRefused,
    }
}

fn whom(stage: Stage, reason: Reason, about: About, code: &Code) -> Concerns {
    let subject = code.enhanced.map(|(subject, _)| subject);
    match reason {
        Reason::MailTooLarge | Reason::NeedsSmtpUtf8 => Concerns::Recipient,
        Reason::TooManyConnections | Reason::QuotaUsedUp => Concerns::Us,
        // What says "you" of an address that was verified elsewhere was said elsewhere.
        Reason::Speeding if about == About::Them || subject == Some(1) => Concerns::Recipient,
        Reason::Speeding if about == About::Unsaid && subject == Some(2) => Concerns::Recipient,
        Reason::Speeding => Concerns::Us,
        _ if stage <= Stage::Mail || about == About::Us => Concerns::Us,
        Reason::SystemError | Reason::SystemFull | Reason::SecurityError | Reason::SyntaxError | Reason::Rejected => {
            Concerns::Us
        }
        Reason::HostUnknown
        | Reason::NotAccepted
        | Reason::NetworkError
        | Reason::Expired
        | Reason::PolicyViolation
        | Reason::BadReputation
        | Reason::Blocked
        | Reason::AuthFailure
        | Reason::RequirePtr
        | Reason::NoRelaying => Concerns::Domain,
        _ => Concerns::Recipient,
    }
}

#[cfg(test)]
mod tests;
