//! Whatever the name and the address, the mail says what it should, and not a header more.

use contract::{TaskId, WelcomeEmail};
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use time::OffsetDateTime;

use crate::renderer;

const HEADERS: [&str; 8] =
    ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type"];

/// Characters that have hurt somebody: dots and dashes for the wire, markup, quotes, line ends of all kinds (what a
/// producer of old or a caller inside might slip past the contract), letters that turn text around, wide and rare ones.
const NASTY: [&str; 34] = [
    "a",
    "Z",
    "9",
    "_",
    "-",
    " ",
    ".",
    "..",
    "\r\n",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{85}",
    "\u{2028}",
    "<",
    ">",
    "&",
    "\"",
    "'",
    "=",
    "=?utf-8?q?x?=",
    "=3D",
    "--",
    "{{",
    "}}",
    "{%",
    "ü",
    "欢迎",
    "🙂",
    "\u{202e}",
    "\u{301}",
    "\r\nBcc: eve@example.com\r\n\r\n",
    "From ",
];

fn name(rng: &mut impl rand::Rng) -> String {
    let pieces = rng.random_range(1..60);
    (0..pieces).filter_map(|_| NASTY.choose(rng).copied()).collect()
}

fn address(rng: &mut impl rand::Rng) -> String {
    const LOCAL: [&str; 12] =
        ["a", "ada.lovelace", "x+y", "o'neil", "a=b", "{a}", "_-_", "ü", "艾达", "a`b", "!#$%&", "A/B"];
    const DOMAIN: [&str; 6] =
        ["example.com", "EXAMPLE.com", "bücher.example", "例子.测试", "a.b.c.d.e", "xn--bcher-kva.example"];
    format!("{}@{}", LOCAL.choose(rng).unwrap(), DOMAIN.choose(rng).unwrap())
}

/// The name as a mail may show it: nothing that begins a line.
fn shown(username: &str) -> String {
    username.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

fn count(message: &Message<'_>, name: &str) -> usize {
    message.headers().iter().filter(|header| header.name().eq_ignore_ascii_case(name)).count()
}

#[test]
fn any_name_at_any_address_gives_a_mail_with_each_header_once() {
    let renderer = renderer();
    let mut rng = rand::rng();
    for _ in 0..3_000 {
        let task = WelcomeEmail {
            email: address(&mut rng).parse().unwrap(),
            username: name(&mut rng),
            locale: [None, Some("zh".to_owned())].choose(&mut rng).unwrap().clone(),
        };
        let context = format!("{:?} at {:?}, {:?}", task.username, task.email.as_str(), task.locale);
        let id = TaskId::new();
        let now = OffsetDateTime::now_utc();
        let mail = renderer.render(&task, id, now).unwrap();
        on_the_wire(mail.bytes(), task.email.needs_smtputf8(), &context);

        let message = MessageParser::default().parse(mail.bytes()).expect(&context);
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

        assert_eq!(message.content_type().unwrap().ctype(), "multipart");
        assert_eq!((message.text_body_count(), message.html_body_count()), (1, 1), "{context}");
        let text = message.body_text(0).unwrap();
        assert!(text.contains(&shown(&task.username)), "{context}: {text}");
        let html = message.body_html(0).unwrap();
        assert!(unescaped(&html).contains(&shown(&task.username)), "{context}: {html}");
        let markup = html.replace(&escaped(&shown(&task.username)), "");
        assert!(!markup.contains("{{") && !markup.contains("&"), "{context}: {markup}");
    }
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

#[test]
fn the_language_follows_the_locale() {
    for (locale, subject, greeting) in [
        (None, "Welcome to Sluice, ada", "Hello ada,"),
        (Some("fr"), "Welcome to Sluice, ada", "Hello ada,"),
        (Some("zh-CN"), "欢迎加入 Sluice，ada", "ada，您好："),
    ] {
        let mail = crate::render("ada@example.com", "ada", locale);
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        assert_eq!(message.subject(), Some(subject), "{locale:?}");
        assert!(message.body_text(0).unwrap().starts_with(greeting), "{locale:?}");
    }
}

#[test]
fn a_name_stands_in_the_subject_only_when_it_is_plain() {
    let long = "a".repeat(65);
    for (name, stands) in [
        ("ada_lovelace-9", true),
        ("艾达", true),
        ("J\u{fc}rgen Klein", true),
        ("http://example.com", false),
        ("win big!", false),
        ("a\u{202e}b", false),
        (long.as_str(), false),
        ("a\r\nBcc: x@example.com", false),
    ] {
        let mail = crate::render("ada@example.com", name, None);
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        let expected = if stands { format!("Welcome to Sluice, {name}") } else { "Welcome to Sluice".to_owned() };
        assert_eq!(message.subject(), Some(expected.as_str()));
    }
}
