use std::time::Duration;

use super::*;

const FRESH: bool = true;

fn refused(stage: Stage, reply: &str) -> SendError {
    let (code, text) = reply.split_once(' ').unwrap_or((reply, ""));
    SendError::Refused { stage, reply: Reply::new(code.parse().unwrap(), text, &[]), fresh: FRESH }
}

fn broken(stage: Stage, cause: Broken) -> SendError {
    SendError::Broken { stage, cause, fresh: FRESH }
}

fn dead(reason: Reason) -> Classification {
    Classification::Dead(DeadReason::Refused(reason))
}

fn every_way_to_break() -> Vec<Broken> {
    vec![
        Broken::Unreachable("refused".to_owned()),
        Broken::Dropped,
        Broken::Timeout(Duration::from_secs(1)),
        Broken::Tls("expired".to_owned()),
        Broken::Protocol("odd".to_owned()),
        Broken::Lacks("AUTH"),
        Broken::File("disk full".to_owned()),
    ]
}

const STAGES: [Stage; 5] = [Stage::Connect, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Content];
const AFTER_MAIL: [Stage; 3] = [Stage::Rcpt, Stage::Data, Stage::Content];

/// Row 1: connect, greeting, EHLO, STARTTLS, AUTH | any failure | circuit.
#[test]
fn any_failure_before_mail_opens_the_circuit() {
    for reply in ["421 4.3.2 closing", "451 later", "500 what", "550 go away", "554 no", "552 5.3.4 odd", "553 no"] {
        let class = Classification::of(&refused(Stage::Connect, reply));
        assert!(matches!(class, Classification::CircuitOpen(_)), "{reply}: {class:?}");
    }
    for cause in every_way_to_break() {
        let class = Classification::of(&broken(Stage::Connect, cause.clone()));
        assert!(matches!(class, Classification::CircuitOpen(_)), "{cause:?}: {class:?}");
    }
}

#[test]
fn a_connection_that_cannot_be_secured_has_a_cause_of_its_own() {
    for (cause, outage) in [
        (Broken::Tls("invalid peer certificate: Expired".to_owned()), "tls"),
        (Broken::Unreachable("refused".to_owned()), "unreachable"),
        (Broken::Dropped, "unreachable"),
        (Broken::Lacks("AUTH"), "login-refused"),
    ] {
        assert_eq!(Classification::of(&broken(Stage::Connect, cause.clone())).outage().slug(), outage, "{cause:?}");
    }
}

/// Row 1, second half: 530, 534, 535, 538, and 454 about TLS, at any stage | circuit.
#[test]
fn a_refused_login_opens_the_circuit_at_any_stage() {
    for stage in STAGES {
        let before = stage == Stage::Connect;
        let login = if before { Outage::LoginRefused } else { Outage::LoginWanted };
        let tls = if before { Outage::NotGreeted } else { Outage::LoginWanted };
        for reply in ["530 5.7.0 Must issue a STARTTLS command first", "534 5.7.9", "535 5.7.8 no", "538 5.7.11"] {
            let class = Classification::of(&refused(stage, reply));
            assert_eq!(class, Classification::CircuitOpen(login), "{stage:?} {reply}");
        }
        for reply in ["454 4.7.0 TLS not available due to a local error", "454 4.7.5 certificate", "454 no SSL today"] {
            let class = Classification::of(&refused(stage, reply));
            assert_eq!(class, Classification::CircuitOpen(tls), "{stage:?} {reply}");
        }
    }
}

/// Row 2: MAIL | 4yz, 5yz | the same, but for size and SMTPUTF8.
#[test]
fn a_refused_sender_opens_the_circuit_but_for_size_and_smtputf8() {
    let circuit = Classification::CircuitOpen(Outage::SenderRefused);
    let login = Classification::CircuitOpen(Outage::LoginWanted);
    let large = dead(Reason::MailTooLarge);
    let utf8 = dead(Reason::NeedsSmtpUtf8);
    for (reply, expected) in [
        ("450 4.1.8 sender", &circuit),
        ("450 4.7.1 Sender address rejected: Domain not found", &circuit),
        ("501 5.1.7 bad sender", &circuit),
        ("550 5.7.1 not you", &circuit),
        ("554", &circuit),
        ("550 5.7.57 Client not authenticated to send mail", &login),
        ("552 5.3.4 too big", &large),
        ("552", &large),
        ("554 5.3.4 too big", &large),
        ("553 5.6.7 utf8", &utf8),
        ("553", &utf8),
        ("555 unknown parameter", &utf8),
        ("550 5.6.7 utf8", &utf8),
    ] {
        assert_eq!(Classification::of(&refused(Stage::Mail, reply)), *expected, "{reply}");
    }
}

/// Row 2: its load, which sending slower helps; closing, or broken, is more than that.
#[test]
fn trouble_of_the_server_at_mail_is_not_our_senders() {
    let outage = Classification::CircuitOpen(Outage::ServerError);
    for (reply, expected) in [
        ("451 4.3.0", &Classification::TooFast),
        ("451", &Classification::TooFast),
        ("451 4.7.1 not now", &Classification::TooFast),
        ("450", &Classification::TooFast),
        ("452 4.3.1 disk full", &Classification::TooFast),
        ("452", &Classification::TooFast),
        ("454 4.3.0 busy", &Classification::TooFast),
        ("421 4.3.2 closing", &outage),
        ("554 5.3.0 broken", &outage),
    ] {
        assert_eq!(Classification::of(&refused(Stage::Mail, reply)), *expected, "{reply}");
    }
}

/// A limit of the account is one at whatever stage it is told, and whatever the first digit.
#[test]
fn limits_of_the_account_spend_nothing_at_any_stage() {
    let quota = Classification::CircuitOpen(Outage::QuotaUsedUp);
    for stage in STAGES {
        for (reply, expected) in [
            ("454 4.7.0 Throttling failure: Maximum sending rate exceeded", &Classification::TooFast),
            ("454 Throttling failure: Maximum sending rate exceeded", &Classification::TooFast),
            ("450 4.7.1 too much mail, slow down", &Classification::TooFast),
            ("421 4.7.0 rate limit exceeded", &Classification::TooFast),
            ("421 4.7.0 too many connections", &Classification::TooManyConnections),
            ("451 4.3.2 too many concurrent connections", &Classification::TooManyConnections),
            ("454 4.7.0 Throttling failure: Daily message quota exceeded", &quota),
            ("550 5.4.5 Daily user sending limit exceeded", &quota),
        ] {
            assert_eq!(Classification::of(&refused(stage, reply)), *expected, "{stage:?} {reply}");
        }
    }
}

/// Row 3: RCPT, DATA, after the dot | 4yz | this mail, for now.
#[test]
fn a_transient_refusal_after_mail_is_for_now() {
    for stage in AFTER_MAIL {
        for (reply, reason) in [
            ("450 4.2.0 greylisted", Reason::Greylisted),
            ("451 4.7.1", Reason::Unclear),
            ("450 4.7.1 try again later", Reason::Unclear),
            ("452 4.2.2 full", Reason::MailboxFull),
            ("450 4.2.1 The user you are trying to contact is receiving mail too quickly", Reason::Speeding),
            ("454 4.3.0 busy", Reason::SystemError),
            ("499", Reason::Unclear),
        ] {
            assert_eq!(Classification::of(&refused(stage, reply)), Classification::Retry(reason), "{stage:?} {reply}");
        }
    }
}

/// Row 4: RCPT, DATA, after the dot | 5yz | this mail, for good, and the reason is the reply's own.
#[test]
fn a_permanent_refusal_after_mail_is_for_good() {
    for (stage, reply, reason) in [
        (Stage::Rcpt, "550 5.1.1 unknown", Reason::UserUnknown),
        (Stage::Rcpt, "553 5.1.3 syntax", Reason::UserUnknown),
        (Stage::Rcpt, "550 5.7.1 no", Reason::PolicyViolation),
        (Stage::Rcpt, "554", Reason::RecipientRefused),
        (Stage::Rcpt, "550 5.1.8 sender address rejected", Reason::Rejected),
        (Stage::Rcpt, "552 5.2.2 mailbox full", Reason::MailboxFull),
        (Stage::Data, "554 no valid recipients", Reason::ContentRefused),
        (Stage::Data, "550", Reason::ContentRefused),
        (Stage::Content, "554 5.7.1 spam", Reason::SpamDetected),
        (Stage::Content, "552 5.3.4 too big", Reason::MailTooLarge),
        (Stage::Content, "552 5.2.2 mailbox full", Reason::MailboxFull),
        (Stage::Content, "550 5.6.0", Reason::ContentError),
    ] {
        assert_eq!(Classification::of(&refused(stage, reply)), dead(reason), "{stage:?} {reply}");
    }
    let stopped =
        Classification::of(&refused(Stage::Content, "554 Message rejected: Sending paused for this account."));
    assert_eq!(stopped, Classification::CircuitOpen(Outage::SenderRefused));
}

/// Row 5: after MAIL | 421, dropped, timeout | reconnect.
#[test]
fn a_conversation_that_broke_off_is_judged_by_the_next_greeting() {
    for stage in AFTER_MAIL {
        assert_eq!(Classification::of(&refused(stage, "421 4.4.2 closing")), Classification::Reconnect, "{stage:?}");
    }
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Content] {
        for cause in every_way_to_break() {
            assert_eq!(
                Classification::of(&broken(stage, cause.clone())),
                Classification::Reconnect,
                "{stage:?} {cause:?}"
            );
        }
    }
}

/// Row 6: half-open admits one mail.
#[test]
fn the_one_mail_is_not_lost_to_a_server_that_refuses_everyone() {
    for (class, expected) in [
        (dead(Reason::PolicyViolation), Classification::Retry(Reason::PolicyViolation)),
        (dead(Reason::ContentRefused), Classification::Retry(Reason::ContentRefused)),
        (dead(Reason::UserUnknown), dead(Reason::UserUnknown)),
        (dead(Reason::NeedsSmtpUtf8), dead(Reason::NeedsSmtpUtf8)),
        (Classification::Retry(Reason::Unclear), Classification::Retry(Reason::Unclear)),
        (Classification::TooFast, Classification::TooFast),
    ] {
        assert_eq!(class.clone().while_everyone_is_refused(), expected, "{class:?}");
    }
}

#[test]
fn what_no_server_was_asked_is_dead_at_once() {
    let reason = DeadReason::Refused(Reason::NeedsSmtpUtf8);
    assert_eq!(Classification::of(&SendError::Unsendable(Unsendable::NeedsSmtpUtf8)), Classification::Dead(reason));
}

/// They are what people select dead letters by, and count.
#[test]
fn each_kind_of_dead_letter_has_a_word_that_stays() {
    for (reason, word) in [
        (DeadReason::Malformed(Malformed::NotJson), "not-json"),
        (DeadReason::TooOld, "too-old-to-deduplicate"),
        (DeadReason::CrashesWorker, "crashes-worker"),
        (DeadReason::Refused(Reason::UserUnknown), "user-unknown"),
        (DeadReason::UnknownType, "unknown-type"),
        (DeadReason::WrongData, "wrong-data"),
        (DeadReason::Unrenderable, "unrenderable"),
        (DeadReason::OutcomeUnknown, "outcome-unknown"),
        (DeadReason::GaveUp, "gave-up"),
    ] {
        assert_eq!(reason.slug(), word);
    }
    assert_eq!(Reason::UserUnknown.to_string(), "user-unknown");
}

#[test]
fn what_is_for_now_or_the_addresss_own_tells_nothing_of_the_server() {
    let unsendable = SendError::Unsendable(Unsendable::NeedsSmtpUtf8);
    for (error, tells) in [
        (refused(Stage::Rcpt, "550 5.7.1 no"), true),
        (refused(Stage::Content, "554 5.7.1 spam"), true),
        (refused(Stage::Rcpt, "451 4.3.0 trouble"), true),
        (refused(Stage::Content, "452 4.3.1 no room"), true),
        (refused(Stage::Rcpt, "450 4.2.0 greylisted"), false),
        (refused(Stage::Rcpt, "450 4.7.1 later"), false),
        (refused(Stage::Rcpt, "550 5.1.1 unknown"), false),
        (refused(Stage::Content, "552 5.2.2 mailbox full"), false),
        (broken(Stage::Content, Broken::Dropped), true),
        (SendError::Unanswered { cause: Broken::Dropped }, true),
        (unsendable, false),
    ] {
        assert_eq!(tells_of_the_server(&error), tells, "{error}");
    }
}

#[test]
fn over_a_connection_that_may_be_one_too_many_not_now_at_mail_is_about_the_connection() {
    let read = |stage, reply| {
        let error = refused(stage, reply);
        Classification::of(&error).where_one_may_be_too_many(&error)
    };
    for reply in ["451 4.3.2 not accepting network messages", "451 later", "421 4.3.2 closing", "450 4.7.1 later"] {
        assert_eq!(read(Stage::Mail, reply), Classification::TooManyConnections, "{reply}");
        assert_ne!(read(Stage::Rcpt, reply), Classification::TooManyConnections, "{reply} of a recipient");
    }
    for reply in
        ["550 5.7.1 not you", "552 5.3.4 too large", "530 5.7.0 log in", "454 4.7.0 Daily message quota exceeded"]
    {
        assert_eq!(read(Stage::Mail, reply), Classification::of(&refused(Stage::Mail, reply)), "{reply}");
    }
}
