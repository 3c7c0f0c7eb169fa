//! Which refusals say that there is nobody of the address.

use std::fmt;

use super::reading::{Lasting, read};
use super::reason::Reason;
use crate::smtp::{Reply, SendError, Stage};

/// There is nobody of the address, says the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    /// The enhanced code.
    pub code: (u8, u16, u16),
    /// The address's own, or the whole domain's.
    pub reason: Reason,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, subject, detail) = self.code;
        write!(f, "{class}.{subject}.{detail} {}", self.reason)
    }
}

/// Does this refusal say so? Only where the recipient was named, for good, and with an enhanced code that means the address:
/// words alone are often those of a policy.
pub fn unknown(error: &SendError) -> Option<Unknown> {
    match error {
        SendError::Refused { stage: Stage::Rcpt, reply, .. } => by_reply(reply),
        _ => None,
    }
}

fn by_reply(reply: &Reply) -> Option<Unknown> {
    let reading = read(Stage::Rcpt, reply);
    let code = reply.enhanced?;
    let means_it =
        matches!((reading.reason, code), (Reason::UserUnknown, (5, 1, 1 | 3 | 10)) | (Reason::HostUnknown, (5, 1, 2)));
    (means_it && reading.lasting == Lasting::ForGood).then_some(Unknown { code, reason: reading.reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stage: Stage, code: u16, text: &str) -> Option<String> {
        let reply = Reply::new(code, text, &[]);
        unknown(&SendError::Refused { stage, reply, fresh: true }).map(|unknown| unknown.to_string())
    }

    #[test]
    fn only_what_says_for_good_that_there_is_nobody_counts() {
        for (stage, code, text, said) in [
            (Stage::Rcpt, 550, "5.1.1 no such user", Some("5.1.1 user-unknown")),
            (
                Stage::Rcpt,
                550,
                "5.1.1 The email account that you tried to reach does not exist",
                Some("5.1.1 user-unknown"),
            ),
            (
                Stage::Rcpt,
                550,
                "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found",
                Some("5.1.10 user-unknown"),
            ),
            (Stage::Rcpt, 553, "5.1.3 bad address syntax", Some("5.1.3 user-unknown")),
            (Stage::Rcpt, 550, "5.1.2 no such domain", Some("5.1.2 host-unknown")),
            // Not for good.
            (Stage::Rcpt, 450, "4.1.1 unverified address", None),
            (Stage::Rcpt, 451, "4.1.2 unknown domain", None),
            // Somebody is there.
            (Stage::Rcpt, 552, "5.2.2 mailbox full", None),
            (Stage::Rcpt, 550, "5.2.1 mailbox disabled", None),
            (Stage::Rcpt, 551, "5.1.6 has moved", None),
            // A policy, whatever its words.
            (Stage::Rcpt, 550, "5.7.1 user unknown", None),
            (Stage::Rcpt, 554, "5.7.1 blocked using zen.spamhaus.org", None),
            (Stage::Rcpt, 550, "5.1.8 sender address rejected", None),
            (Stage::Rcpt, 550, "5.4.1 recipient address rejected: access denied", None),
            // No code.
            (Stage::Rcpt, 550, "no such user", None),
            (Stage::Rcpt, 550, "", None),
            // Not said of the recipient.
            (Stage::Mail, 550, "5.1.1 unknown", None),
            (Stage::Content, 550, "5.1.1 no such user", None),
        ] {
            assert_eq!(of(stage, code, text).as_deref(), said, "{stage:?} {code} {text}");
        }
    }
}
