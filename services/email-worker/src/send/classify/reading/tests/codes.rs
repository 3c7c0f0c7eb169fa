//! What codes mean alone, beside no words that say more: RFC 5321, RFC 3463, RFC 7372, and IANA's registry of enhanced codes.

use super::{Concerns, Reason, Reply, Stage, read};

use Concerns::{Domain, Recipient, Us};
use Reason as R;

/// At the opening, at MAIL, at RCPT, and after DATA.
type Reasons = [Reason; 4];

const fn all(reason: Reason) -> Reasons {
    [reason; 4]
}

const fn from_rcpt(opening: Reason, mail: Reason, rcpt: Reason) -> Reasons {
    [opening, mail, rcpt, rcpt]
}

/// Each with its reasons, and whom it is about from RCPT on.
const CODES: &[(&str, Reasons, Concerns)] = &[
    // The address.
    ("450 4.1.1", from_rcpt(R::Unclear, R::SystemError, R::RecipientRefused), Recipient),
    ("550 5.1.1", from_rcpt(R::NotAccepted, R::Rejected, R::UserUnknown), Recipient),
    ("450 4.1.7", all(R::Rejected), Us),
    ("500 5.1.1", from_rcpt(R::SyntaxError, R::SyntaxError, R::UserUnknown), Recipient),
    ("550 5.1.7", all(R::Rejected), Us),
    ("550 5.1.8", all(R::Rejected), Us),
    ("450 4.1.90", from_rcpt(R::Unclear, R::SystemError, R::RecipientRefused), Recipient),
    ("550 5.1.90", all(R::QuotaUsedUp), Us),
    ("556 5.1.10", all(R::NotAccepted), Domain),
    ("550 5.1.10", from_rcpt(R::NotAccepted, R::Rejected, R::UserUnknown), Recipient),
    ("450 4.1.0", from_rcpt(R::Unclear, R::SystemError, R::RecipientRefused), Recipient),
    ("550 5.1.0", from_rcpt(R::NotAccepted, R::Rejected, R::UserUnknown), Recipient),
    ("550 5.1.3", from_rcpt(R::NotAccepted, R::Rejected, R::UserUnknown), Recipient),
    ("550 5.1.4", from_rcpt(R::NotAccepted, R::Rejected, R::UserUnknown), Recipient),
    ("450 4.1.2", from_rcpt(R::Unclear, R::SystemError, R::HostUnknown), Domain),
    ("550 5.1.2", from_rcpt(R::NotAccepted, R::Rejected, R::HostUnknown), Domain),
    ("450 4.1.6", from_rcpt(R::Unclear, R::SystemError, R::HasMoved), Recipient),
    ("550 5.1.6", from_rcpt(R::NotAccepted, R::Rejected, R::HasMoved), Recipient),
    ("450 4.1.9", from_rcpt(R::Unclear, R::SystemError, R::RecipientRefused), Recipient),
    // Its mailbox.
    ("450 4.2.121", all(R::Speeding), Recipient),
    ("550 5.2.122", all(R::Speeding), Recipient),
    ("450 4.2.1", from_rcpt(R::Unclear, R::SystemError, R::RecipientRefused), Recipient),
    ("550 5.2.1", from_rcpt(R::NotAccepted, R::Rejected, R::Suspended), Recipient),
    ("450 4.2.2", from_rcpt(R::Unclear, R::SystemError, R::MailboxFull), Recipient),
    ("550 5.2.2", from_rcpt(R::NotAccepted, R::Rejected, R::MailboxFull), Recipient),
    ("550 5.2.3", from_rcpt(R::NotAccepted, R::Rejected, R::MailTooLarge), Recipient),
    ("550 5.2.9", from_rcpt(R::NotAccepted, R::Rejected, R::RecipientRefused), Recipient),
    // The mail system.
    ("550 5.3.4", all(R::MailTooLarge), Recipient),
    ("450 4.3.1", all(R::SystemFull), Us),
    ("550 5.3.1", all(R::SystemFull), Us),
    ("450 4.3.2", all(R::SystemError), Us),
    ("550 5.3.2", from_rcpt(R::SystemError, R::SystemError, R::NotAccepted), Domain),
    ("450 4.3.0", all(R::SystemError), Us),
    ("550 5.3.0", all(R::SystemError), Us),
    // The network, and the way there.
    ("450 4.4.5", all(R::SystemError), Us),
    ("550 5.4.5", all(R::QuotaUsedUp), Us),
    ("450 4.4.4", from_rcpt(R::Unclear, R::SystemError, R::NetworkError), Domain),
    ("550 5.4.4", from_rcpt(R::NotAccepted, R::Rejected, R::HostUnknown), Domain),
    ("450 4.4.7", all(R::Expired), Domain),
    ("550 5.4.7", all(R::Expired), Domain),
    ("450 4.4.2", all(R::SystemError), Us),
    ("550 5.4.2", all(R::SystemError), Us),
    ("450 4.4.1", from_rcpt(R::Unclear, R::SystemError, R::NetworkError), Domain),
    ("550 5.4.1", from_rcpt(R::NotAccepted, R::Rejected, R::NetworkError), Domain),
    // The protocol.
    ("530 5.5.1", all(R::SecurityError), Us),
    ("534 5.5.1", all(R::SecurityError), Us),
    ("535 5.5.1", all(R::SecurityError), Us),
    ("538 5.5.1", all(R::SecurityError), Us),
    ("450 4.5.0", from_rcpt(R::Unclear, R::SystemError, R::RecipientRefused), Recipient),
    ("550 5.5.0", from_rcpt(R::SyntaxError, R::SyntaxError, R::RecipientRefused), Recipient),
    ("450 4.5.4", from_rcpt(R::Unclear, R::SystemError, R::Unclear), Recipient),
    ("550 5.5.4", all(R::SyntaxError), Us),
    ("555 5.5.4", [R::NotAccepted, R::NeedsSmtpUtf8, R::RecipientRefused, R::ContentRefused], Recipient),
    // The content.
    ("550 5.6.7", all(R::NeedsSmtpUtf8), Recipient),
    ("450 4.6.0", [R::Unclear, R::SystemError, R::Unclear, R::ContentError], Recipient),
    ("550 5.6.0", [R::NotAccepted, R::Rejected, R::RecipientRefused, R::ContentError], Recipient),
    ("550 5.6.5", [R::NotAccepted, R::Rejected, R::RecipientRefused, R::ContentError], Recipient),
    ("550 5.6.6", [R::NotAccepted, R::Rejected, R::RecipientRefused, R::ContentError], Recipient),
    ("550 5.6.8", [R::NotAccepted, R::Rejected, R::RecipientRefused, R::ContentRefused], Recipient),
    ("550 5.6.9", [R::NotAccepted, R::Rejected, R::RecipientRefused, R::ContentError], Recipient),
    // Security and policy.
    ("550 5.7.23", all(R::AuthFailure), Domain),
    ("550 5.7.25", all(R::RequirePtr), Domain),
    ("550 5.7.26", all(R::AuthFailure), Domain),
    ("550 5.7.28", all(R::Speeding), Us),
    ("550 5.7.29", all(R::SecurityError), Us),
    ("550 5.7.57", all(R::SecurityError), Us),
    ("550 5.7.508", all(R::Speeding), Us),
    ("550 5.7.606", all(R::Blocked), Domain),
    ("550 5.7.649", all(R::Blocked), Domain),
    ("550 5.7.650", all(R::BadReputation), Domain),
    ("450 4.7.500", all(R::SystemError), Us),
    ("550 5.7.500", from_rcpt(R::Rejected, R::Rejected, R::PolicyViolation), Domain),
    ("450 4.7.8", all(R::SecurityError), Us),
    ("550 5.7.8", all(R::SecurityError), Us),
    ("550 5.7.11", all(R::SecurityError), Us),
    ("450 4.7.20", all(R::AuthFailure), Domain),
    ("550 5.7.20", all(R::AuthFailure), Domain),
    ("550 5.7.22", all(R::AuthFailure), Domain),
    ("450 4.7.1", from_rcpt(R::Unclear, R::SystemError, R::Unclear), Recipient),
    ("550 5.7.1", from_rcpt(R::Rejected, R::Rejected, R::PolicyViolation), Domain),
    // Three digits alone.
    ("500", all(R::SyntaxError), Us),
    ("504", all(R::SyntaxError), Us),
    ("521", [R::NotAccepted, R::Rejected, R::NotAccepted, R::ContentRefused], Domain),
    ("554", [R::NotAccepted, R::Rejected, R::RecipientRefused, R::ContentRefused], Recipient),
    ("421", from_rcpt(R::Unclear, R::SystemError, R::SystemError), Us),
    ("450", from_rcpt(R::Unclear, R::SystemError, R::Unclear), Recipient),
    ("452", from_rcpt(R::Unclear, R::SystemFull, R::SystemFull), Us),
    ("499", from_rcpt(R::Unclear, R::SystemError, R::Unclear), Recipient),
    ("550", [R::NotAccepted, R::Rejected, R::RecipientRefused, R::ContentRefused], Recipient),
    ("551", [R::NotAccepted, R::Rejected, R::HasMoved, R::ContentRefused], Recipient),
    ("552", from_rcpt(R::NotAccepted, R::MailTooLarge, R::MailboxFull), Recipient),
    ("553", [R::NotAccepted, R::NeedsSmtpUtf8, R::RecipientRefused, R::ContentRefused], Recipient),
    ("555", [R::NotAccepted, R::NeedsSmtpUtf8, R::RecipientRefused, R::ContentRefused], Recipient),
    ("556", [R::NotAccepted, R::Rejected, R::NotAccepted, R::ContentRefused], Domain),
];

#[test]
fn a_code_without_words_is_read_by_its_stage() {
    for (said, reasons, concerns) in CODES {
        let (code, text) = said.split_once(' ').unwrap_or((said, ""));
        let reply = Reply::new(code.parse().unwrap(), text, &[]);
        let stages = [Stage::Connect, Stage::Mail, Stage::Rcpt, Stage::Data];
        for (stage, reason) in stages.into_iter().zip(reasons) {
            assert_eq!(read(stage, &reply).reason, *reason, "{stage:?}: {said}");
        }
        assert_eq!(read(Stage::Content, &reply).reason, reasons[3], "at the end of the content: {said}");
        assert_eq!(read(Stage::Rcpt, &reply).concerns, *concerns, "{said}");
    }
}

/// Nothing but our login and our sender was spoken of: it is about us, or about this mail's size and spelling.
#[test]
fn what_is_said_before_rcpt_is_about_us() {
    for (said, _, _) in CODES {
        let (code, text) = said.split_once(' ').unwrap_or((said, ""));
        for stage in [Stage::Connect, Stage::Mail] {
            let read = read(stage, &Reply::new(code.parse().unwrap(), text, &[]));
            let its_own = matches!(read.reason, R::MailTooLarge | R::NeedsSmtpUtf8)
                || (read.reason == R::Speeding && text.contains(".2."));
            assert_eq!(read.concerns, if its_own { Recipient } else { Us }, "{stage:?}: {said}");
        }
    }
}
