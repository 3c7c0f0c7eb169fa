//! The bytes of a mail: headers, a text part and an HTML part.

use std::fmt::Write as _;

use contract::TaskId;
use time::OffsetDateTime;

use crate::address::Envelope;
use crate::encoding::{Transfer, date, display_name, header_text};

/// The line that ends a mail on the wire.
pub(super) const END: &str = ".\r\n";

/// What all mails of one sender begin with.
pub(super) struct Letterhead {
    from: String,
    domain: String,
}

/// What differs from mail to mail. Lines of `text` and `html` end in CRLF.
pub(super) struct Letter<'a> {
    pub(super) id: TaskId,
    pub(super) envelope: &'a Envelope,
    pub(super) date: OffsetDateTime,
    pub(super) subject: &'a str,
    pub(super) text: &'a str,
    pub(super) html: &'a str,
}

impl Letterhead {
    /// `address` in ASCII.
    pub(super) fn new(name: Option<&str>, address: &str, domain: &str) -> Self {
        let from = match name {
            Some(name) => format!("From: {}\r\n <{address}>\r\n", display_name(name)),
            None => format!("From: {address}\r\n"),
        };
        Self { from, domain: domain.to_owned() }
    }

    /// The mail and its [`END`]. No other line begins with a dot; all is ASCII but for the recipient in `To`.
    pub(super) fn write(&self, letter: &Letter<'_>) -> String {
        let Letter { id, envelope, subject, text, html, .. } = letter;
        let mut out = String::with_capacity(1024 + 2 * (text.len() + html.len()));
        out.push_str(&self.from);
        // Writing to a String does not fail, here and below.
        let _ = write!(out, "To: {}\r\nSubject: ", envelope.recipient());
        header_text(subject, "Subject: ".len(), &mut out);
        out.push_str("Date: ");
        date(letter.date, &mut out);
        let _ = write!(
            out,
            "\r\nMessage-ID: <{id}@{}>\r\n\
             MIME-Version: 1.0\r\n\
             Auto-Submitted: auto-generated\r\n\
             Content-Type: multipart/alternative;\r\n boundary=\"=_{id}\"\r\n\r\n",
            self.domain
        );
        for (kind, body) in [("plain", text), ("html", html)] {
            let transfer = Transfer::choose(body);
            let _ = write!(
                out,
                "--=_{id}\r\n\
                 Content-Type: text/{kind}; charset=utf-8\r\n\
                 Content-Transfer-Encoding: {}\r\n\r\n",
                transfer.name()
            );
            transfer.encode(body, &mut out);
        }
        let _ = write!(out, "--=_{id}--\r\n{END}");
        out
    }
}
