//! Addresses as they go over the wire: the domain always as A-labels, so that only the part before the `@` can need
//! SMTPUTF8. That no address can end a line or a path early is promised by [`EmailAddress`].

use contract::EmailAddress;

/// Who a mail is from and for, as the mail server is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    sender: String,
    recipient: String,
    local_len: usize,
}

impl Envelope {
    /// For a mail from `sender`, given in ASCII, to one recipient.
    pub(super) fn new(sender: String, recipient: &EmailAddress) -> Self {
        Self { sender, recipient: ascii_address(recipient), local_len: recipient.local_part().len() }
    }

    /// The sender, ASCII.
    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// The recipient, its domain in ASCII.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// The recipient's part before the `@`.
    pub fn recipient_local(&self) -> &str {
        &self.recipient[..self.local_len]
    }

    /// Whether only a server with SMTPUTF8 can take the mail.
    pub fn needs_smtputf8(&self) -> bool {
        !self.recipient.is_ascii()
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelope").field("needs_smtputf8", &self.needs_smtputf8()).finish_non_exhaustive()
    }
}

/// The address with its domain in ASCII.
pub(super) fn ascii_address(address: &EmailAddress) -> String {
    format!("{}@{}", address.local_part(), address.ascii_domain())
}
