//! What came of handing a mail over: accepted, or refused or broken off at a known stage.

use std::fmt;
use std::time::Duration;

/// How far the conversation with the mail server had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Everything before a mail is spoken of: TCP, greeting, EHLO, STARTTLS, AUTH.
    Connect,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`.
    Data,
    /// The content, up to the answer to the final dot.
    Content,
}

impl Stage {
    /// A stable word for metrics and headers.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Content => "content",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the opening",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the content",
        })
    }
}

/// A negative answer of the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 400 to 599.
    pub code: u16,
    /// RFC 3463, when the text begins with one.
    pub enhanced: Option<(u8, u16, u16)>,
    /// At most 200 characters on one line, without addresses.
    pub text: String,
}

impl Reply {
    const MAX_TEXT: usize = 200;

    /// Reads the text that came with `code`. `private` is what must not be repeated: any word that names one of these, and
    /// any word with an `@`, is blotted out.
    pub fn new(code: u16, text: &str, private: &[&str]) -> Self {
        Self { code, enhanced: enhanced_code(text), text: redact(text, private, Self::MAX_TEXT) }
    }

    /// 4yz: another time it may work.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// Whether the enhanced code is of this subject and detail, whatever its class.
    pub fn is_about(&self, subject: u16, detail: u16) -> bool {
        self.enhanced.is_some_and(|(_, s, d)| (s, d) == (subject, detail))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

fn enhanced_code(text: &str) -> Option<(u8, u16, u16)> {
    let mut parts = text.split_whitespace().next()?.split('.');
    let class = parts.next()?.parse().ok().filter(|class| (2..=5).contains(class))?;
    let subject = parts.next()?.parse().ok().filter(|n| *n < 1000)?;
    let detail = parts.next()?.parse().ok().filter(|n| *n < 1000)?;
    parts.next().is_none().then_some((class, subject, detail))
}

/// `text` on one line, at most `max` characters, with addresses and `private` words blotted out.
pub(super) fn redact(text: &str, private: &[&str], max: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        let secret = word.contains('@') || private.iter().any(|private| names(word, private));
        out.push_str(if secret { "<..>" } else { word });
    }
    if let Some((end, _)) = out.char_indices().nth(max) {
        out.truncate(end);
    }
    out
}

/// Whether `private` stands in the word by itself, not as a piece of something longer: `user=bob;full` names `bob`, `bobcat` does not.
fn names(word: &str, private: &str) -> bool {
    // On the way of every mail: most words of most replies are too short to name anybody.
    if word.len() < private.len() && word.is_ascii() && private.is_ascii() {
        return false;
    }
    let (word, private) = (word.to_lowercase(), private.to_lowercase());
    let longer = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !private.is_empty()
        && word.match_indices(&private).any(|(at, _)| {
            !longer(word[..at].chars().next_back()) && !longer(word[at + private.len()..].chars().next())
        })
}

/// Why a conversation ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Name not found, connection refused, no route.
    #[error("cannot reach the mail server: {0}")]
    Unreachable(String),
    /// The connection was closed or reset in the middle.
    #[error("the mail server dropped the connection")]
    Dropped,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No TLS, or not with this server.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// An answer that does not fit.
    #[error("the mail server does not keep to the protocol: {0}")]
    Protocol(String),
    /// The server lacks what the configuration asks of it.
    #[error("{0}")]
    Lacks(&'static str),
    /// The worker ends and waits no longer.
    #[error("the worker had to end")]
    CutOff,
    /// The folder of the file transport.
    #[error("cannot write the mail: {0}")]
    File(String),
}

/// Why a mail was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server said no.
    #[error("refused at {stage}: {reply}")]
    Refused {
        /// What was answered so.
        stage: Stage,
        /// The answer.
        reply: Reply,
        /// This was the session's first mail; on an older one a 421 at `MAIL` may only mean that it had been idle long.
        fresh: bool,
    },
    /// No answer came; the connection is gone.
    #[error("broken off at {stage}: {cause}")]
    Broken {
        /// What was left without an answer.
        stage: Stage,
        /// How it ended.
        cause: Broken,
        /// This was the session's first mail.
        fresh: bool,
    },
    /// The mail was handed over to its last byte, and no answer came that tells what became of it. It may have been sent.
    #[error("the mail may have been sent, its outcome is unknown: {cause}")]
    Unanswered {
        /// How the wait for the answer ended.
        cause: Broken,
    },
    /// No server was asked: this mail cannot be sent as it is.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
}

impl SendError {
    /// The stage, unless nothing was said at all.
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Refused { stage, .. } | Self::Broken { stage, .. } => Some(*stage),
            Self::Unanswered { .. } => Some(Stage::Content),
            Self::Unsendable(_) => None,
        }
    }

    /// Whether a session that had waited turned out to be closed before anything was said of this mail: open another
    /// and send again, nothing is spent.
    pub fn session_was_stale(&self) -> bool {
        match self {
            Self::Refused { stage: Stage::Mail, reply, fresh: false } => reply.code == 421,
            Self::Broken { stage: Stage::Mail, cause: Broken::Dropped, fresh: false } => true,
            _ => false,
        }
    }
}

/// Why a mail cannot be sent by anyone here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// RFC 6531 is needed and not offered.
    #[error("the part before the @ is not ASCII, and the mail server does not offer SMTPUTF8")]
    NeedsSmtpUtf8,
}

/// The server has taken the mail over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What it said, often its queue id; one line without addresses. Empty for a file.
    pub reply: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhanced_codes_are_read_only_at_the_beginning() {
        for (text, expected) in [
            ("5.1.1 no such user", Some((5, 1, 1))),
            ("4.7.0", Some((4, 7, 0))),
            ("no such user 5.1.1", None),
            ("1.2.3.4 is on a list", None),
            ("9.1.1 odd", None),
            ("5.1 short", None),
            ("5.1.1000 long", None),
            ("5.1000.1 long", None),
            ("5.999.999 long enough", Some((5, 999, 999))),
            ("", None),
        ] {
            assert_eq!(enhanced_code(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_error_says_what_was_answered_how_and_has_a_word_for_it_that_stays() {
        for (stage, words, slug) in [
            (Stage::Connect, "the opening", "connect"),
            (Stage::Mail, "MAIL", "mail"),
            (Stage::Rcpt, "RCPT", "rcpt"),
            (Stage::Data, "DATA", "data"),
            (Stage::Content, "the content", "content"),
        ] {
            let reply = Reply::new(550, "5.1.1 no such user", &[]);
            let error = SendError::Refused { stage, reply, fresh: true };
            assert_eq!(error.to_string(), format!("refused at {words}: 550 5.1.1 no such user"));
            assert_eq!((error.stage(), stage.slug()), (Some(stage), slug));
        }
    }

    #[test]
    fn a_reply_never_repeats_the_address() {
        for text in [
            "5.1.1 <Bob.Smith@example.com>: Recipient address rejected",
            "user bob.smith unknown",
            "mailbox 'bob.smith' is full",
            "to=bob.smith@example.com\r\nX: bob.smith",
            "mailbox=bob.smith;full",
            "Bob.Smith's mailbox is full",
        ] {
            let reply = Reply::new(550, text, &["bob.smith"]);
            assert!(!reply.text.to_lowercase().contains("smith"), "{}", reply.text);
            assert!(!reply.text.contains(['\r', '\n']), "{:?}", reply.text);
        }
    }

    #[test]
    fn what_names_nobody_is_repeated() {
        for (text, private, shown) in [
            ("bobcat and kabob are unknown, bob is full", "bob", "bobcat and kabob are unknown, <..> is full"),
            ("user=bob;full", "bob", "<..>"),
            ("no", "nobody", "no"),
            ("all is said", "", "all is said"),
            ("a bell\u{7}rings\r\n twice", "bob", "a bell rings twice"),
        ] {
            assert_eq!(Reply::new(550, text, &[private]).text, shown, "{text:?}");
        }
    }

    #[test]
    fn a_long_reply_is_cut_at_a_character() {
        let reply = Reply::new(550, &"ä".repeat(1_000), &[]);
        assert_eq!(reply.text.chars().count(), Reply::MAX_TEXT);
    }

    #[test]
    fn only_a_reused_session_is_stale() {
        let refused = |stage, code, fresh| SendError::Refused { stage, reply: Reply::new(code, "", &[]), fresh };
        let broken = |stage, cause, fresh| SendError::Broken { stage, cause, fresh };
        for (error, stale) in [
            (refused(Stage::Mail, 421, false), true),
            (refused(Stage::Mail, 421, true), false),
            (refused(Stage::Mail, 451, false), false),
            (refused(Stage::Rcpt, 421, false), false),
            (broken(Stage::Mail, Broken::Dropped, false), true),
            (broken(Stage::Mail, Broken::Dropped, true), false),
            (broken(Stage::Mail, Broken::Timeout(Duration::from_secs(1)), false), false),
            (broken(Stage::Content, Broken::Dropped, false), false),
            (SendError::Unanswered { cause: Broken::Dropped }, false),
        ] {
            assert_eq!(error.session_was_stale(), stale, "{error:?}");
        }
    }
}
