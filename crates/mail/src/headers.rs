//! Headers that are the same in many mails.

use crate::encoding::display_name;
use crate::sender::Sender;

/// What all mails of one type have in their heads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers {
    pub(crate) from: Option<String>,
    pub(crate) reply_to: Option<String>,
}

impl Headers {
    pub(crate) fn new(from: Option<&Sender>, reply_to: Option<&Sender>) -> Self {
        let line = |name: &str, who: &Sender| mailbox_line(name, who.name(), &who.ascii_address());
        Self {
            from: from.map(|from| line("From", from)),
            reply_to: reply_to.map(|reply_to| line("Reply-To", reply_to)),
        }
    }
}

/// A header line with one mailbox. `address` has no character that needs quoting.
pub(crate) fn mailbox_line(header: &str, name: Option<&str>, address: &str) -> String {
    match name {
        Some(name) => format!("{header}: {}\r\n <{address}>\r\n", display_name(name)),
        None => format!("{header}: {address}\r\n"),
    }
}
