//! The built-in type: what producers of the first hour rely on.

use contract::{MailTask, TaskId};
use mail::{MailOptions, MailTypes, Renderer};
use serde_json::json;
use time::OffsetDateTime;

use crate::{load, renderer, write};

/// The files were written by the last version that had this mail compiled in.
#[test]
fn the_welcome_mail_is_byte_for_byte_what_it_always_was() {
    let options = MailOptions {
        from: "Sluice <no-reply@example.com>".parse().unwrap(),
        product: "Sluice & S\u{f6}hne".to_owned(),
    };
    let renderer = Renderer::new(options).unwrap();
    for (username, locale, before) in [
        ("ada", None, include_str!("../welcome/welcome-0.eml")),
        ("艾达", Some("zh-CN"), include_str!("../welcome/welcome-1.eml")),
        ("a\r\nBcc: <x@example.com> {{ 7 }} & 'q' \"/\" ", Some("en"), include_str!("../welcome/welcome-2.eml")),
        (" <b>\u{2028}.x", Some("ZH_"), include_str!("../welcome/welcome-3.eml")),
        ("J\u{fc}rgen  K ", Some("fr"), include_str!("../welcome/welcome-4.eml")),
    ] {
        let email = "ada@b\u{fc}cher.example".parse().unwrap();
        let task = MailTask::welcome(email, username.to_owned(), locale.map(ToOwned::to_owned));
        let id = TaskId::from_message_id("one and the same");
        let mail = renderer.render(&task, id, OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(std::str::from_utf8(mail.bytes()).unwrap(), before.replace('\n', "\r\n"), "{username:?}");
    }
}

#[test]
fn the_welcome_mail_is_there_without_any_file() {
    let types = MailTypes::built_in().unwrap();
    let welcome = types.get("email.welcome").unwrap();
    assert!(welcome.is_built_in());
    assert_eq!(welcome.languages().map(ToString::to_string).collect::<Vec<_>>(), ["en", "zh"]);
    assert!(load(&[]).unwrap().get("email.welcome").is_some_and(mail::MailType::is_built_in));
}

#[test]
fn a_directory_overrides_the_welcome_mail_whole() {
    let renderer = renderer(&[
        ("email.welcome.toml", "[fields]\nusername = \"text\"\n[sample]\nusername = \"ada\""),
        ("email.welcome.en.subject", "Hi {{ username }}"),
        ("email.welcome.en.txt", "Hello."),
    ]);
    let mail = write(&renderer, "email.welcome", Some("zh"), &json!({"username": "ada"})).unwrap();
    assert_eq!((mail.subject(), mail.text(), mail.html()), ("Hi ada", "Hello.", None), "there is no Chinese any more");
}

#[test]
fn a_welcome_mail_that_asks_for_more_than_a_username_is_refused() {
    let problems = load(&[
        (
            "email.welcome.toml",
            "[fields]\nusername = \"text\"\nplan = \"text\"\n[sample]\nusername = \"a\"\nplan = \"b\"",
        ),
        ("email.welcome.en.subject", "Hi"),
        ("email.welcome.en.txt", "Hello."),
    ])
    .unwrap_err();
    assert!(problems.to_string().contains("`plan` must be optional"), "{problems}");
}
