//! Whatever the name and the address, the mail says what it should, and not a header more.

use contract::{MailTask, TaskId};
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use testkit::fuzz::Target;
use time::OffsetDateTime;

use crate::renderer;

const HEADERS: [&str; 8] =
    ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type"];

/// First line the address, second the locale, the rest the name: any text, also what the contract would refuse today and a producer
/// of old or a caller inside might slip past it. Also whether the address is its own.
fn task(input: &[u8]) -> (MailTask, &'static str) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let (email, locale) = (lines.next().unwrap_or_default(), lines.next().filter(|locale| !locale.is_empty()));
    let (email, end) = match email.parse() {
        Ok(email) => (email, "its address"),
        Err(_) => ("ada@example.com".parse().unwrap(), "another address"),
    };
    let username = lines.next().unwrap_or_default().chars().take(256).collect();
    (MailTask::welcome(email, username, locale.map(str::to_owned)), end)
}

#[test]
fn fuzz_mails() {
    let words: [&[u8]; 14] = [
        b".",
        b"..\r\n.\r\n",
        b"--",
        b"=_",
        b"=3D",
        b"=?utf-8?q?x?=",
        b"{{",
        b"%}",
        b"From ",
        b"&lt;",
        b"\nzh\n",
        b"\r\nBcc: eve@example.com\r\n\r\n",
        "\u{6b22}\u{8fce}".as_bytes(),
        "\u{fc}".as_bytes(),
    ];
    let renderer = renderer();
    let floors = [("its address", 150)];
    Target { name: "mail", words: &words, runs: 1_500, longest: 2_048, floors: &floors }.fuzz(|input| {
        let (task, end) = task(input);
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let id = TaskId::from_content(input);
        let mail = renderer.render(&task, id, now).unwrap();
        check(&task, id, now, mail.bytes());
        end
    });
}

fn check(task: &MailTask, id: TaskId, now: OffsetDateTime, mail: &[u8]) {
    let context = format!("{:?} at {:?}, {:?}", task.name, task.email.as_str(), task.locale);
    on_the_wire(mail, task.email.needs_smtputf8(), &context);

    let message = MessageParser::default().parse(mail).expect(&context);
    for header in HEADERS {
        assert_eq!(count(&message, header), 1, "{header}: {context}");
    }
    assert_eq!(message.headers().len(), HEADERS.len(), "a header too many: {context}");
    assert_eq!(message.message_id(), Some(format!("{id}@example.com").as_str()));
    assert_eq!(message.date().unwrap().to_timestamp(), now.unix_timestamp());
    let to = message.to().unwrap().first().unwrap().address().unwrap();
    assert_eq!(to, format!("{}@{}", task.email.local_part(), task.email.ascii_domain()), "{context}");
    let from = message.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("Sluice"), Some("no-reply@example.com")));
    assert!(message.subject().unwrap().contains("Sluice"), "{context}");
    let plain = |c: char| c.is_alphanumeric() || "_- ,\u{ff0c}".contains(c);
    assert!(message.subject().unwrap().chars().all(plain), "{context}: {:?}", message.subject());

    assert_eq!(message.content_type().unwrap().ctype(), "multipart");
    assert_eq!((message.text_body_count(), message.html_body_count()), (1, 1), "{context}");
    let text = message.body_text(0).unwrap();
    assert!(text.contains(&shown(task.name.as_deref().unwrap_or_default())), "{context}: {text}");
    let html = message.body_html(0).unwrap();
    assert!(unescaped(&html).contains(&shown(task.name.as_deref().unwrap_or_default())), "{context}: {html}");
    let markup = html.replace(&escaped(&shown(task.name.as_deref().unwrap_or_default())), "");
    assert!(!markup.contains("{{") && !markup.contains("&"), "{context}: {markup}");
}

/// The name as a mail may show it: nothing that begins a line.
fn shown(username: &str) -> String {
    username.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

fn count(message: &Message<'_>, name: &str) -> usize {
    message.headers().iter().filter(|header| header.name().eq_ignore_ascii_case(name)).count()
}

/// What every server takes: short lines that end in CRLF, seven bits unless SMTPUTF8, no dot to be doubled.
fn on_the_wire(bytes: &[u8], utf8: bool, context: &str) {
    assert!(bytes.ends_with(b"\r\n"), "{context}");
    assert!(utf8 || bytes.is_ascii(), "{context}");
    let text = std::str::from_utf8(bytes).unwrap();
    for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{context}: {line:?}");
        assert!(!line.starts_with('.'), "{context}: {line:?}");
    }
    let headers = text.split("\r\n\r\n").next().unwrap();
    assert!(headers.split("\r\n").all(|line| line.len() <= 255 + 4), "{context}: {headers}");
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            '/' => out.push_str("&#x2f;"),
            c => out.push(c),
        }
    }
    out
}

fn unescaped(html: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")]
        .iter()
        .fold(html.to_owned(), |html, (entity, character)| html.replace(entity, character))
}
