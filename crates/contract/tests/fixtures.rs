//! Every shape that was ever released can still be read, and ours are still written the same.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use contract::MailTask;

const BARE: &[u8] = include_bytes!("../fixtures/bare.json");
const V1: &[u8] = include_bytes!("../fixtures/welcome-v1.json");
const V1_LOCALE: &[u8] = include_bytes!("../fixtures/welcome-v1-locale.json");
const MAIL_V1: &[u8] = include_bytes!("../fixtures/mail-v1.json");
const UNKNOWN_FIELDS: &[u8] = include_bytes!("../fixtures/welcome-unknown-fields.json");

const WELCOME: Option<&str> = Some("email.welcome");

fn ada(locale: Option<&str>) -> MailTask {
    let email = "ada@example.com".parse().expect("valid");
    MailTask::welcome(email, "ada".to_owned(), locale.map(str::to_owned))
}

fn receipt() -> MailTask {
    MailTask {
        mail_type: "shop.receipt".parse().expect("valid"),
        name: Some("Ada Lovelace".to_owned()),
        data: serde_json::from_str(r#"{"order":"A-17","total":12.5,"lines":[{"text":"Tea","count":2}]}"#)
            .expect("valid"),
        ..ada(Some("de"))
    }
}

#[test]
fn every_released_shape_is_read() {
    for (name, kind, body, locale) in [
        ("bare", None, BARE, None),
        ("welcome-v1", WELCOME, V1, None),
        ("welcome-v1-locale", WELCOME, V1_LOCALE, Some("zh-CN")),
        ("welcome-unknown-fields", WELCOME, UNKNOWN_FIELDS, None),
    ] {
        assert_eq!(MailTask::decode(kind, body), Ok(ada(locale)), "{name}");
    }
    assert_eq!(MailTask::decode(Some("shop.receipt"), MAIL_V1), Ok(receipt()));
}

#[test]
fn our_tasks_are_written_as_they_always_were() {
    assert_eq!(ada(None).encode(), V1);
    assert_eq!(ada(Some("zh-CN")).encode(), V1_LOCALE);
    assert_eq!(receipt().encode(), MAIL_V1);
}
