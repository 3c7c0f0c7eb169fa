//! A mail as the server took it.

use std::time::Instant;

/// A mail that the server answered with 250 after the dot (or would have, had it not dropped the connection on purpose).
#[derive(Debug, Clone)]
pub struct Mail {
    /// The address of MAIL FROM.
    pub from: String,
    /// What followed it, such as `BODY=8BITMIME SMTPUTF8`.
    pub parameters: String,
    /// The addresses of RCPT TO.
    pub to: Vec<String>,
    /// The content, without the dots that SMTP adds.
    pub data: Vec<u8>,
    /// When it was taken.
    pub at: Instant,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// Who had logged in.
    pub user: Option<String>,
    /// Number of the connection it came by, from 1.
    pub connection: u64,
}

impl Mail {
    /// Its `Message-ID`, without the angle brackets.
    ///
    /// # Panics
    /// When it has none.
    pub fn message_id(&self) -> String {
        self.header("Message-ID").expect("a mail has a Message-ID").trim_matches(['<', '>']).to_owned()
    }

    /// The value of its first header of this name, unfolded, as it stands there.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.data);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = unfolded.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }

    /// Its parts, decoded.
    ///
    /// # Panics
    /// When it is not a mail.
    pub fn parsed(&self) -> mail_parser::Message<'_> {
        mail_parser::MessageParser::default().parse(&self.data).expect("the content is a mail")
    }
}

/// Takes the dot off the front of lines that the client doubled it on.
pub(crate) fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(content.len());
    let mut rest = content.strip_prefix(b".").unwrap_or(content);
    while let Some(at) = memchr::memmem::find(rest, b"\r\n.") {
        data.extend_from_slice(&rest[..at + 2]);
        rest = &rest[at + 3..];
    }
    data.extend_from_slice(rest);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_dots_at_the_start_of_lines_become_one() {
        for (sent, meant) in
            [("..a\r\n", ".a\r\n"), ("a.b\r\n..\r\n..c\r\n", "a.b\r\n.\r\n.c\r\n"), ("", ""), ("a\r\n", "a\r\n")]
        {
            assert_eq!(unstuffed(sent.as_bytes()), meant.as_bytes(), "{sent:?}");
        }
    }
}
