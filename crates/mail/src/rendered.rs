//! A mail that can be sent.

use contract::TaskId;

use crate::address::Envelope;
use crate::message::END;
use crate::types::written::Written;

/// A mail ready to be sent.
#[derive(Clone)]
pub struct Rendered {
    /// The task it was made of.
    pub task: TaskId,
    /// Who it is from and for.
    pub envelope: Envelope,
    // What is in it of its user, between blanks.
    pub(crate) private: String,
    pub(crate) written: Written,
    // With the line that ends it on the wire, and no other line that begins with a dot.
    pub(crate) wire: String,
}

impl Rendered {
    /// Headers and body, lines ended by CRLF, none longer than 998 bytes, ASCII unless the envelope needs SMTPUTF8.
    pub fn bytes(&self) -> &[u8] {
        self.wire.strip_suffix(END).unwrap_or(&self.wire).as_bytes()
    }

    /// The subject, on one line.
    pub fn subject(&self) -> &str {
        &self.written.subject
    }

    /// The text part, lines ended by CRLF.
    pub fn text(&self) -> &str {
        &self.written.text
    }

    /// The HTML part, if there is one.
    pub fn html(&self) -> Option<&str> {
        self.written.html.as_deref()
    }

    /// Where one leaves, as `List-Unsubscribe` has it, if the type says so.
    pub fn unsubscribe(&self) -> Option<&str> {
        self.written.unsubscribe.as_deref()
    }

    /// Words of the mail that are nobody else's matter, beside its addresses: a server may quote a subject. Those of one or two
    /// letters say nothing of anybody.
    pub fn private_words(&self) -> impl Iterator<Item = &str> {
        self.private.split_whitespace().filter(|word| word.len() > 2)
    }

    /// What follows `DATA`: the mail and the final dot.
    pub fn on_the_wire(&self) -> &str {
        &self.wire
    }
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").field("task", &self.task).field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}
