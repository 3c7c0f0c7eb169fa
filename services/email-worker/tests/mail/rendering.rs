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
