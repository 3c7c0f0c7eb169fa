//! The bytes of a mail: headers, a text part, and mostly an HTML part.

use std::fmt::Write as _;

use contract::TaskId;
use time::OffsetDateTime;

use crate::address::Envelope;
use crate::encoding::{Transfer, date, header_text};
use crate::headers::{Headers, mailbox_line};
use crate::sender::Sender;
use crate::types::unsubscribe;
use crate::types::written::Written;

/// The line that ends a mail on the wire.
pub(super) const END: &str = ".\r\n";

/// What all mails of one sender begin with.
pub(super) struct MessageBuilder {
    from: String,
    domain: String,
}

/// What differs from mail to mail.
pub(super) struct Message<'a> {
    pub(super) id: TaskId,
    pub(super) envelope: &'a Envelope,
    /// The recipient's name, on one line.
    pub(super) name: Option<&'a str>,
    pub(super) date: OffsetDateTime,
    pub(super) headers: &'a Headers,
    pub(super) written: &'a Written,
}

impl MessageBuilder {
    pub(super) fn new(from: &Sender) -> Self {
        let line = mailbox_line("From", from.name(), &from.ascii_address());
        Self { from: line, domain: from.ascii_domain().to_owned() }
    }

    /// The mail and its [`END`]. No other line begins with a dot; all is ASCII but for the recipient in `To`.
    pub(super) fn build(&self, message: &Message<'_>) -> String {
        let Message { id, envelope, headers, written, .. } = message;
        let html = written.html.as_deref();
        let mut out = String::with_capacity(1024 + 2 * (written.text.len() + html.map_or(0, str::len)));
        out.push_str(headers.from.as_deref().unwrap_or(&self.from));
        // Writing to a String does not fail, here and below.
        match message.name {
            Some(name) => out.push_str(&mailbox_line("To", Some(name), envelope.recipient())),
            None => _ = write!(out, "To: {}\r\n", envelope.recipient()),
        }
        out.push_str("Subject: ");
        header_text(&written.subject, "Subject: ".len(), &mut out);
        out.push_str("Date: ");
        date(message.date, &mut out);
        let _ = write!(
            out,
            "\r\nMessage-ID: <{id}@{}>\r\n\
             MIME-Version: 1.0\r\n\
             Auto-Submitted: auto-generated\r\n",
            self.domain
        );
        out.push_str(headers.reply_to.as_deref().unwrap_or_default());
        if let Some(target) = &written.unsubscribe {
            unsubscribe::write(target, &mut out);
        }
        match html {
            Some(html) => {
                let _ = write!(out, "Content-Type: multipart/alternative;\r\n boundary=\"=_{id}\"\r\n\r\n");
                for (kind, body) in [("plain", written.text.as_str()), ("html", html)] {
                    let _ = write!(out, "--=_{id}\r\n");
                    body_part(kind, body, &mut out);
                }
                let _ = write!(out, "--=_{id}--\r\n");
            }
            None => body_part("plain", &written.text, &mut out),
        }
        out.push_str(END);
        out
    }
}

/// One part with its own headers; the last line is ended.
fn body_part(kind: &str, body: &str, out: &mut String) {
    let transfer = Transfer::choose(body);
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "Content-Type: text/{kind}; charset=utf-8\r\n\
         Content-Transfer-Encoding: {}\r\n\r\n",
        transfer.name()
    );
    transfer.encode(body, out);
}
