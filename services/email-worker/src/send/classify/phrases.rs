//! What mail servers say in words. Their codes are often vague (`454 4.7.0`, `550 5.7.1`), their words hardly ever.
//!
//! Lower case; the first that is found decides, so that what is more telling stands before.

use super::reason::Reason;

/// Whom a phrase is about, where that is not clear from the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The recipient, or the domain.
    Them,
    /// Our account, or our way to send.
    Us,
    /// The code and the reason tell.
    Unsaid,
}

/// Finds the first phrase that the text has.
pub(super) fn find(lower: &str) -> Option<(Reason, About)> {
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    let (about, reason, _) = TABLE.iter().find(|(_, _, phrases)| has(phrases))?;
    let theirs = *reason == Reason::Speeding && has(THEIRS);
    Some((*reason, if theirs { About::Them } else { *about }))
}

/// Spam, or against a policy, of which the number was a sign and no pace was spoken of: refused for good, sending slower
/// would be of no use.
pub(super) fn by_number(lower: &str) -> Option<Reason> {
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    if !has(TOO_MANY) || has(PACE) {
        return None;
    }
    [(SPAM, Reason::SpamDetected), (POLICY, Reason::PolicyViolation)]
        .into_iter()
        .find_map(|(phrases, reason)| has(phrases).then_some(reason))
}

/// Whose limit it is, beside words that speak of one.
const THEIRS: &[&str] = &["this domain", "this recipient", "this user", "this mailbox"];

use About::{Them, Unsaid, Us};

/// Whether our account was stopped, which is said of one mail and meant for all.
pub(super) fn stop_us(text: &str) -> bool {
    let lower = text.to_lowercase();
    STOPPED.iter().any(|phrase| lower.contains(phrase))
}

const SPAM: &[&str] = &["spam", "unsolicited", "junk mail", "phishing"];

const TOO_MANY: &[&str] =
    &["too many messages", "too many emails", "too many mails", "too many recipients", "too much mail"];

const PACE: &[&str] = &[
    "throttl",
    "sending rate",
    "message rate",
    "rate limit",
    "too fast",
    "too quickly",
    "slow down",
    "per second",
    "per minute",
    "per hour",
    "per day",
];

const POLICY: &[&str] =
    &["policy reason", "policy violation", "has a policy", "violates", "administrative prohibition"];

const STOPPED: &[&str] = &["sending paused", "sending has been paused", "tenant has exceeded threshold"];

const TABLE: &[(About, Reason, &[&str])] = &[
    (
        Them,
        Reason::Speeding,
        &[
            "receiving mail too quickly",
            "receiving mail at a rate",
            "recipient's per hour",
            "recipient has exceeded their limit",
            "recipient thread limit exceeded",
        ],
    ),
    (Us, Reason::QuotaUsedUp, &["submission quota exceeded"]),
    (
        Unsaid,
        Reason::QuotaUsedUp,
        &[
            "daily message quota",
            "daily sending quota",
            "daily user sending limit",
            "daily smtp relay",
            "daily limit",
            "daily quota",
            "daily sending limit",
            "monthly limit",
            "monthly quota",
            "hourly limit",
            "hourly quota",
            "emails per hour",
            "messages per day",
            "emails per day",
            "maximum credits exceeded",
            "credits exceeded",
            "quota for the day",
            "sending limit for the day",
        ],
    ),
    (Us, Reason::Rejected, STOPPED),
    (
        Us,
        Reason::TooManyConnections,
        &[
            "too many connections",
            "too many concurrent",
            "too many simultaneous",
            "too many sessions",
            "too many smtp sessions",
            "connection limit",
            "connections limit",
            "connection rate limit",
            "connection rate exceeded",
            "maximum number of connections",
            "max connections",
            "concurrent connection",
            "sender thread limit exceeded",
            "trop de connexions",
        ],
    ),
    (
        Unsaid,
        Reason::BadReputation,
        &["reputation", "unexpected volume or user complaints", "likely suspicious", "poor sending history"],
    ),
    (
        Unsaid,
        Reason::Greylisted,
        &["greylist", "graylist", "grey-list", "gray-list", "grey list", "gray list", "greyed", "postgrey"],
    ),
    (
        Us,
        Reason::Speeding,
        &[
            "throttl",
            "sending rate",
            "rate limit",
            "rate-limit",
            "ratelimit",
            "message rate",
            "unusual rate",
            "exceeded the rate",
            "rate exceeded",
            "too fast",
            "too quickly",
            "relay limit exceeded",
            "sending limit exceeded",
            "slow down",
            "try again slower",
            "exceeded permitted limits",
        ],
    ),
    (Us, Reason::Speeding, TOO_MANY),
    (Unsaid, Reason::VirusDetected, &["virus", "malware", "infected"]),
    (
        Unsaid,
        Reason::RequirePtr,
        &["ptr record", "reverse dns", "reverse hostname", "reverse-dns", "cannot find your hostname"],
    ),
    (
        Unsaid,
        Reason::Blocked,
        &[
            "spamhaus",
            "spamcop",
            "barracudacentral",
            "blocklist",
            "block list",
            "blacklist",
            "black list",
            "blocked using",
            "banned sending ip",
            "dnsbl",
            " rbl",
            "client host rejected",
            "not currently accepting mail from your ip",
            "connections will not be accepted from",
            "connections not accepted from",
            "permanently deferred",
        ],
    ),
    (
        Unsaid,
        Reason::AuthFailure,
        &["spf", "dkim", "dmarc", "sender policy framework", "unauthenticated email", "sender is unauthenticated"],
    ),
    (
        Unsaid,
        Reason::NoRelaying,
        &[
            "relay access denied",
            "relaying denied",
            "relay denied",
            "relay not permitted",
            "unable to relay",
            "not permitted to relay",
            "credentials for relay",
            "list of allowed rcpthosts",
            "no relaying",
        ],
    ),
    (Unsaid, Reason::NeedsSmtpUtf8, &["smtputf8"]),
    (
        Unsaid,
        Reason::MailTooLarge,
        &["message size", "too large", "too big", "size exceeds", "size limit", "maximum allowed size"],
    ),
    (
        Unsaid,
        Reason::MailboxFull,
        &[
            "mailbox full",
            "mailbox is full",
            "mailbox has exceeded",
            "over quota",
            "overquota",
            "quota exceeded",
            "exceeded quota",
            "exceeded storage",
            "out of storage space",
            "insufficient mailbox",
        ],
    ),
    (Unsaid, Reason::SystemFull, &["insufficient system", "no space", "disk full", "out of disk"]),
    (
        Unsaid,
        Reason::HostUnknown,
        &[
            "no such domain",
            "domain not found",
            "domain does not exist",
            "unknown domain",
            "host not found",
            "unrouteable",
            "host unknown",
            "no mx record",
            "nonexistent domain",
            "domain isn't hosted",
        ],
    ),
    (Unsaid, Reason::NotAccepted, &["nullmx", "null mx", "does not accept mail", "no mail service"]),
    (
        Unsaid,
        Reason::Suspended,
        &[
            "account is disabled",
            "is disabled",
            "is inactive",
            "inactive account",
            "account disabled",
            "has been disabled",
            "mailbox disabled",
            "mailbox unavailable or access denied",
            "mailbox cannot be accessed",
            "is suspended",
            "been suspended",
            "no longer valid",
            "no longer accepts",
            "no longer available",
            "account has been closed",
        ],
    ),
    (
        Unsaid,
        Reason::UserUnknown,
        &[
            "user unknown",
            "unknown user",
            "no such user",
            "no such recipient",
            "no such mailbox",
            "user not found",
            "recipient not found",
            "recipient unknown",
            "unknown recipient",
            "mailbox not found",
            "mailbox does not exist",
            "does not exist",
            "doesn't have a yahoo",
            "no mailbox here",
            "invalid recipient",
            "invalid mailbox",
            "address rejected: access denied",
            "address unknown",
            "unknown address",
            "not a known user",
            "not our customer",
            "bad destination mailbox",
            "unverified address",
        ],
    ),
    (
        Unsaid,
        Reason::Rejected,
        &[
            "sender address rejected",
            "sender rejected",
            "invalid sender",
            "sender verify failed",
            "sender domain",
            "domain of sender",
            "not owned by user",
            "email address is not verified",
            "send as this sender",
            "banned sender",
            "bad outbound sender",
            "sender denied",
        ],
    ),
    (Unsaid, Reason::SpamDetected, SPAM),
    (
        Unsaid,
        Reason::SecurityError,
        &["authentication required", "not authenticated", "must authenticate", "log in first", "requires encryption"],
    ),
    (Unsaid, Reason::NotCompliantRfc, &["rfc 5322", "rfc 2822", "rfc compliant", "from: header", "duplicate header"]),
    (Unsaid, Reason::PolicyViolation, POLICY),
    (
        Unsaid,
        Reason::SystemError,
        &[
            "server busy",
            "system problem",
            "server error",
            "local error",
            "lookup failure",
            "configuration error",
            "configuration problem",
            "temporary local problem",
            "resources temporarily unavailable",
            "queue file write error",
            "unable to process",
        ],
    ),
];
