//! Why a mail server says no: the taxonomy of sisimai, and a few words of our own.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $slug:literal,)+) => {
        /// Why a mail server says no. Most are the reasons of [sisimai](https://libsisimai.org/en/reason/).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// A stable word for headers, metrics and logs.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)+ }
            }
        }
    };
}

reasons! {
    /// Nobody has this address.
    UserUnknown = "user-unknown",
    /// The domain does not exist, or has no mail server.
    HostUnknown = "host-unknown",
    /// The recipient lives elsewhere now.
    HasMoved = "has-moved",
    /// The recipient's mailbox is full.
    MailboxFull = "mailbox-full",
    /// The recipient's mailbox is closed, for a time or for good.
    Suspended = "suspended",
    /// The domain takes no mail at all.
    NotAccepted = "not-accepted",
    /// The mail is larger than the server takes.
    MailTooLarge = "mail-too-large",
    /// A rule of the server or of the receiver forbids it.
    PolicyViolation = "policy-violation",
    /// The sender's address or domain has a bad name there.
    BadReputation = "bad-reputation",
    /// The server that speaks to it is on a list of blocked ones.
    Blocked = "blocked",
    /// The sender is refused.
    Rejected = "rejected",
    /// The content looks like spam.
    SpamDetected = "spam-detected",
    /// The content looks like a virus.
    VirusDetected = "virus-detected",
    /// The content can't be read, or converted.
    ContentError = "content-error",
    /// The mail does not keep to the RFCs.
    NotCompliantRfc = "not-compliant-rfc",
    /// SPF, DKIM or DMARC fail.
    AuthFailure = "auth-failure",
    /// The server that speaks to it has no name that leads back to it.
    RequirePtr = "require-ptr",
    /// It does not pass mail on to this domain, or not for us.
    NoRelaying = "no-relaying",
    /// It wants a login, another one, or TLS.
    SecurityError = "security-error",
    /// Too many connections at once.
    TooManyConnections = "too-many-connections",
    /// Too fast: for the account, the server, or the one recipient.
    Speeding = "speeding",
    /// What the account may send in a day, or an hour, has been sent.
    QuotaUsedUp = "quota-used-up",
    /// It takes no mail from strangers at first.
    Greylisted = "greylisted",
    /// Something is wrong with the server itself.
    SystemError = "system-error",
    /// The server has no space left.
    SystemFull = "system-full",
    /// The server can't reach the domain's own.
    NetworkError = "network-error",
    /// It has tried for too long.
    Expired = "expired",
    /// It did not understand us.
    SyntaxError = "syntax-error",
    /// It can't do an address beyond ASCII.
    NeedsSmtpUtf8 = "needs-smtputf8",
    /// Not now, it says, and nothing more: greylisting, or too fast, or its own trouble. Whom else it meets would tell.
    Unclear = "unclear",
    /// It gave no answer: the conversation broke off.
    BrokenOff = "broken-off",
    /// The recipient is refused, it does not say why.
    RecipientRefused = "recipient-refused",
    /// The content is refused, it does not say why.
    ContentRefused = "content-refused",
}

impl Reason {
    /// Whether it is about this one address or its domain, and says nothing of what the server thinks of anybody else's.
    /// A flood of made-up addresses is refused for these.
    pub fn is_the_addresss_own(self) -> bool {
        matches!(
            self,
            Self::UserUnknown
                | Self::HostUnknown
                | Self::HasMoved
                | Self::MailboxFull
                | Self::Suspended
                | Self::NotAccepted
                | Self::MailTooLarge
                | Self::NeedsSmtpUtf8
                | Self::Greylisted
                | Self::Speeding
                | Self::NetworkError
                | Self::Expired
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}
