//! What a mail says, and in which language.

use mail_parser::MessageParser;

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

/// What the mail says must be so. There is no sign-in to invite to; whoever is mailed may not be who registered, and chose
/// no password; a repeat is rare and possible, so no mail is the only one; and nobody knows why an address was entered.
#[test]
fn a_mail_says_nothing_that_is_not_so() {
    let untrue = ["sign in", "log in", "password", "once", "mistake", "登录", "密码", "一次", "误填"];
    for locale in [None, Some("zh")] {
        let mail = crate::render("ada@example.com", "ada", locale);
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        for part in [message.body_text(0).unwrap(), message.body_html(0).unwrap()] {
            let words = part.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            let said: Vec<_> = untrue.iter().filter(|untrue| words.contains(**untrue)).collect();
            assert!(said.is_empty(), "locale {locale:?}: {said:?} in\n{part}");
        }
    }
}

#[test]
fn text_and_html_say_the_same() {
    for locale in [None, Some("zh")] {
        let mail = crate::render("ada@example.com", "ada", locale);
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        let (html, text) = (message.body_html(0).unwrap(), message.body_text(0).unwrap());
        let (head, body) = html.split_once("</h1>").unwrap();
        // The heading of the one opens the first sentence of the other.
        let heading = head.rsplit_once('>').unwrap().1;
        let rest = text.replacen(&format!("{heading}!"), "", 1).replacen(&format!("{heading}！"), "", 1);
        assert!(rest.len() < text.len(), "the text does not say {heading:?}:\n{text}");
        assert_eq!(letters(&visible(body)), letters(&rest), "locale {locale:?}");
    }
}

/// HTML without its tags.
fn visible(html: &str) -> String {
    html.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect()
}

fn letters(text: &str) -> String {
    text.split_whitespace().collect()
}
