//! Every shape that was ever released can still be read, and ours are still written the same.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use contract::{TYPE_WELCOME, WelcomeEmail};

const BARE: &[u8] = include_bytes!("../fixtures/bare.json");
const V1: &[u8] = include_bytes!("../fixtures/welcome-v1.json");
const V1_LOCALE: &[u8] = include_bytes!("../fixtures/welcome-v1-locale.json");
const UNKNOWN_FIELDS: &[u8] = include_bytes!("../fixtures/welcome-unknown-fields.json");

fn ada(locale: Option<&str>) -> WelcomeEmail {
    let email = "ada@example.com".parse().expect("valid");
    WelcomeEmail { email, username: "ada".to_owned(), locale: locale.map(str::to_owned) }
}

#[test]
fn every_released_shape_is_read() {
    for (name, kind, body, locale) in [
        ("bare", None, BARE, None),
        ("welcome-v1", Some(TYPE_WELCOME), V1, None),
        ("welcome-v1-locale", Some(TYPE_WELCOME), V1_LOCALE, Some("zh-CN")),
        ("welcome-unknown-fields", Some(TYPE_WELCOME), UNKNOWN_FIELDS, None),
    ] {
        assert_eq!(WelcomeEmail::decode(kind, body), Ok(ada(locale)), "{name}");
    }
}

#[test]
fn our_tasks_are_written_as_they_always_were() {
    assert_eq!(ada(None).encode(), V1);
    assert_eq!(ada(Some("zh-CN")).encode(), V1_LOCALE);
}
