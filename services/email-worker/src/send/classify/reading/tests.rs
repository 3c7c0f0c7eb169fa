use super::*;

mod codes;
mod known;

use known::{KNOWN, Known};

#[test]
fn each_known_reply_is_read_as_it_is_meant() {
    let mut wrong = Vec::new();
    for Known { from, stage, reply, reason, lasting, concerns } in KNOWN {
        let (code, text) = reply.split_once([' ', '-']).unwrap();
        let expected = Reading { reason: *reason, lasting: *lasting, concerns: *concerns };
        let read = read(*stage, &Reply::new(code.parse().unwrap(), text, &[]));
        if read != expected {
            wrong.push(format!("{from}, {stage:?}: {reply}\n  is {expected:?}\n  read as {read:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), KNOWN.len(), wrong.join("\n"));
    assert!(KNOWN.len() >= 60, "{} replies are known", KNOWN.len());
}

#[test]
fn reasons_have_words_of_their_own() {
    let mut slugs: Vec<_> = Reason::ALL.iter().map(|reason| reason.slug()).collect();
    slugs.sort_unstable();
    slugs.dedup();
    assert_eq!(slugs.len(), Reason::ALL.len());
    let plain = |slug: &&str| slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit());
    assert!(slugs.iter().all(plain), "{slugs:?}");
}

/// Whatever a server says, at whatever stage: the first digit tells for how long, but for the account's own limits.
#[test]
fn any_reply_is_read_and_its_first_digit_holds() {
    let texts = [
        "",
        "5.7.1",
        "4.7.1 no",
        "5.2.2 full",
        "9.9.9",
        "(#5.1.1)",
        "(#)",
        "(#x.y.z)",
        "\u{0}\u{ffff}",
        "ÄÖ 4.3.2 too many",
        "Daily message quota exceeded",
        "4.999.999 too many connections",
        "slow down",
        "greylisted",
    ];
    for stage in [Stage::Connect, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Content] {
        for code in 400..600 {
            for text in texts {
                let reading = read(stage, &Reply::new(code, text, &[]));
                let expected = if code < 500 { Lasting::Now } else { Lasting::ForGood };
                let limit =
                    matches!(reading.reason, Reason::Speeding | Reason::QuotaUsedUp | Reason::TooManyConnections);
                assert!(
                    reading.lasting == expected || (limit && reading.concerns == Concerns::Us),
                    "{stage:?} {code} {text}: {reading:?}"
                );
            }
        }
    }
}

#[test]
fn the_code_that_is_repeated_on_each_line_does_not_come_between_the_words() {
    let text = "4.7.28 Gmail has detected an unusual\n4.7.28 rate of mail";
    assert_eq!(words(&Reply::new(421, text, &[])), "gmail has detected an unusual rate of mail");
}

#[test]
fn what_is_refused_for_good_as_spam_or_by_policy_is_no_matter_of_speed_whatever_it_counts() {
    for (reply, expected) in [
        ("554 5.7.1 Spam message rejected: too many recipients", Reason::SpamDetected),
        ("550 5.7.1 Too many messages; looks like unsolicited bulk mail", Reason::SpamDetected),
        ("554 Too many emails that our users reported as spam", Reason::SpamDetected),
        ("451 4.7.1 Too many messages, to keep spam away; try later", Reason::Speeding),
        ("550 5.7.1 Too many messages in this hour", Reason::Speeding),
        ("554 5.7.1 Too many messages from sender in last 60 minutes", Reason::Speeding),
        ("550 5.7.1 Too many messages per hour from your address; see our antispam rules", Reason::Speeding),
        ("554 5.7.1 Too many messages, slow down; this keeps spam away", Reason::Speeding),
        ("550 5.7.1 Policy violation: too many recipients", Reason::PolicyViolation),
        ("554 5.7.1 Message violates our rules: too many recipients", Reason::PolicyViolation),
        ("550 5.7.1 Policy violation: too many messages per minute", Reason::Speeding),
        ("550 Policy violation: too many recipients", Reason::Speeding),
        ("550 5.7.1 Daily limit reached: too many messages. Spam?", Reason::QuotaUsedUp),
        ("554 5.7.1 Poor reputation: too many messages are spam", Reason::BadReputation),
        ("451 4.7.1 Policy violation: too many messages", Reason::Speeding),
    ] {
        let (code, text) = reply.split_once(' ').unwrap();
        for stage in [Stage::Rcpt, Stage::Content] {
            let read = read(stage, &Reply::new(code.parse().unwrap(), text, &[]));
            assert_eq!(read.reason, expected, "{stage:?}: {reply}");
        }
    }
}

#[test]
fn a_code_that_leaves_no_room_is_believed_before_the_words() {
    for (stage, reply, expected) in [
        (Stage::Rcpt, "550 5.1.1 <..>... User unknown; rejecting (see spf)", Reason::UserUnknown),
        (Stage::Rcpt, "550 5.1.1 too many messages to nobody", Reason::UserUnknown),
        (Stage::Mail, "550 5.1.1 Sender unknown", Reason::Rejected),
        (Stage::Rcpt, "450 4.1.1 too many messages to nobody", Reason::Speeding),
    ] {
        let (code, text) = reply.split_once(' ').unwrap();
        assert_eq!(read(stage, &Reply::new(code.parse().unwrap(), text, &[])).reason, expected, "{reply}");
    }
}

#[test]
fn words_that_are_known_from_elsewhere_are_fitted_to_where_they_are_said() {
    for (stage, reply, expected) in [
        (Stage::Connect, "450 mailbox is full", Reason::SystemFull),
        (Stage::Mail, "450 mailbox is full", Reason::SystemFull),
        (Stage::Mail, "550 mailbox is full", Reason::MailTooLarge),
        (Stage::Rcpt, "550 mailbox is full", Reason::MailboxFull),
        (Stage::Rcpt, "552 5.2.2 message too large", Reason::MailboxFull),
        (Stage::Rcpt, "552 5.2.3 message too large", Reason::MailTooLarge),
        (Stage::Mail, "550 unknown domain", Reason::Rejected),
        (Stage::Mail, "550 no such user", Reason::Rejected),
        (Stage::Rcpt, "550 unknown domain", Reason::HostUnknown),
    ] {
        let (code, text) = reply.split_once(' ').unwrap();
        assert_eq!(read(stage, &Reply::new(code.parse().unwrap(), text, &[])).reason, expected, "{stage:?}: {reply}");
    }
}
