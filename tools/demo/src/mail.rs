//! A mail as text.

use mail_parser::{Address, MessageParser, PartType};

/// What a person wants to see of a mail: the usual headers and the plain text.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    headers: Vec<(&'static str, String)>,
    text: String,
    html: bool,
}

impl Mail {
    /// Reads an RFC 5322 message; nothing if it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let message = MessageParser::default().parse(bytes)?;
        let headers = vec![
            ("From", addresses(message.from())),
            ("To", addresses(message.to())),
            ("Subject", message.subject().unwrap_or_default().to_owned()),
            ("Date", message.date().map(ToString::to_string).unwrap_or_default()),
            ("Message-ID", message.message_id().unwrap_or_default().to_owned()),
        ];
        let text = message.body_text(0).map(|text| text.trim_end().to_owned()).unwrap_or_default();
        let html = message.parts.iter().any(|part| matches!(part.body, PartType::Html(_)));
        Some(Self { headers, text, html })
    }

    /// Whether it was sent to this address.
    pub(crate) fn is_to(&self, address: &str) -> bool {
        self.headers.iter().any(|(name, value)| *name == "To" && value.contains(address))
    }

    /// Lines to be shown, with a bar at the left.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.headers.iter().map(|(name, value)| format!("│ {name}: {value}")).collect();
        lines.push("│".to_owned());
        lines.extend(self.text.lines().map(|line| format!("│ {}", line.trim_end()).trim_end().to_owned()));
        if self.html {
            lines.push("│".to_owned());
            lines.push("│ (and the same as HTML)".to_owned());
        }
        lines
    }
}

fn addresses(address: Option<&Address<'_>>) -> String {
    let one = |addr: &mail_parser::Addr<'_>| match (addr.name(), addr.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (_, address) => address.unwrap_or_default().to_owned(),
    };
    address.map(|list| list.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_mail_is_shown_with_its_headers_and_its_plain_text() {
        let mail = Mail::parse(
            b"From: Sluice <hello@example.org>\r\nTo: ada@example.org\r\nSubject: =?utf-8?q?Welcome=21?=\r\n\
              Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
              --b\r\nContent-Type: text/plain\r\n\r\nHello Ada,\r\n\r\nbye\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n--b--\r\n",
        )
        .unwrap();
        assert!(mail.is_to("ada@example.org") && !mail.is_to("bob@example.org"));
        let shown = mail.lines().join("\n");
        for part in ["│ From: Sluice <hello@example.org>", "│ Subject: Welcome!", "│ Hello Ada,\n│\n│ bye", "as HTML"]
        {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        assert!(!shown.contains("<p>"));
    }
}
