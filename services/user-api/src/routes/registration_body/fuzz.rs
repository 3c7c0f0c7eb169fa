//! Whatever is sent as a registration: what is taken keeps to the OpenAPI document and makes a task that the worker reads, and
//! what is refused is refused without repeating it.
#![allow(clippy::unwrap_used)]

use contract::MailTask;
use serde_json::Value;
use testkit::fuzz::Target;
use web::Kind;

use super::*;
use crate::openapi;
use crate::routes::users::LIMIT;

#[test]
fn fuzz_registrations() {
    let words: [&[u8]; 12] = [
        br#""username":"#,
        br#""email":"#,
        br#""password":"#,
        br#""locale":"#,
        br#""ada""#,
        br#""ada@example.com""#,
        br#""correct horse""#,
        br#","x":0"#,
        b"null",
        b"\\ud83d",
        b"~1",
        br#""locale":"zh-CN","#,
    ];
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    let schema = &document["components"]["schemas"]["Registration"];
    let floors = [("taken", 2), ("refused", 300)];
    let target = Target { name: "registration", words: &words, runs: 6_000, longest: LIMIT, floors: &floors };
    target.fuzz(|body| match read(body) {
        Ok(registration) => {
            taken(body, &registration, schema);
            "taken"
        }
        Err(problem) => {
            refused(body, &problem);
            "refused"
        }
    });
}

fn taken(body: &[u8], registration: &Registration, schema: &Value) {
    let sent: Value = serde_json::from_slice(body).unwrap();
    let members = sent.as_object().unwrap();
    for name in schema["required"].as_array().unwrap() {
        assert!(members.contains_key(name.as_str().unwrap()), "{name} is required");
    }
    for (name, value) in members {
        let rules = schema["properties"].get(name).unwrap_or_else(|| panic!("{name} is not in the document"));
        let Some(text) = value.as_str() else {
            assert!(value.is_null() && rules["type"].as_array().is_some_and(|types| types.contains(&"null".into())));
            continue;
        };
        let length = text.chars().count() as u64;
        assert!(rules["minLength"].as_u64().unwrap_or(0) <= length, "{name} is too short for the document: {text:?}");
        assert!(rules["maxLength"].as_u64().unwrap() >= length, "{name} is too long for the document: {text:?}");
        assert!(matches(rules["pattern"].as_str(), text), "{name} does not match the document: {text:?}");
    }
    let Registration { username, email, password, locale, .. } = registration;
    assert_eq!(
        (username.as_str(), password.expose()),
        (sent["username"].as_str().unwrap(), sent["password"].as_str().unwrap())
    );
    // Composing changes nothing else, which the contract's tests hold it to.
    assert!(
        email.as_str() == sent["email"] || !email.as_str().is_ascii() || !sent["email"].as_str().unwrap().is_ascii()
    );
    assert_eq!(sent["email"].as_str().unwrap().parse().as_ref(), Ok(email.address()));
    assert_eq!(locale.as_ref().map(|tag| tag.as_str()), sent["locale"].as_str());
    // A language is nobody's secret, and may be spelled like a name.
    let shown = format!("{registration:?}").replace(&format!("{locale:?}"), "");
    for private in [username.as_str(), email.as_str(), password.expose()] {
        assert!(
            !shown.contains(private) || "Registration Password Username Email <redacted>".contains(private),
            "{shown}"
        );
    }
    // As the outbox writes it.
    let locale = locale.as_ref().map(|tag| tag.as_str().to_owned());
    let task = MailTask::welcome(email.address().clone(), username.as_str().to_owned(), locale);
    assert_eq!(
        MailTask::decode(Some(task.mail_type.as_str()), &task.encode()),
        Ok(task),
        "the worker reads another task"
    );
}

/// The patterns of the document, each by hand: a new one fails here until it stands here too.
fn matches(pattern: Option<&str>, text: &str) -> bool {
    let alphanumeric = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric());
    match pattern {
        None => true,
        Some("^[A-Za-z0-9_-]+$") => {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        }
        Some(r"^[^\u0000]*$") => !text.contains('\0'),
        Some("^[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*$") => text.split(['_', '-']).enumerate().all(|(n, part)| match n {
            0 => (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic()),
            _ => (1..=8).contains(&part.len()) && alphanumeric(part),
        }),
        Some(other) => panic!("a pattern that this test does not know: {other}"),
    }
}

fn refused(body: &[u8], problem: &Problem) {
    let json = problem.json("id");
    assert!(json.len() <= 4_096 + 2 * body.len(), "{} bytes answer {} bytes", json.len(), body.len());
    let answer: Value = serde_json::from_slice(&json).unwrap();
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    match problem.kind() {
        Kind::MALFORMED_JSON => assert!(errors.is_empty(), "{answer}"),
        Kind::VALIDATION_FAILED => assert!(!errors.is_empty(), "{answer}"),
        other => panic!("{other:?}"),
    }
    let Ok(sent) = serde_json::from_slice::<Value>(body) else { return };
    assert_eq!(problem.kind(), Kind::VALIDATION_FAILED, "it is JSON to another reader: {answer}");
    let told: String =
        errors.iter().filter_map(|error| error["detail"].as_str()).chain(answer["detail"].as_str()).collect();
    for name in ["email", "password"] {
        let private = sent[name].as_str().filter(|text| text.len() >= 8);
        assert!(private.is_none_or(|private| !told.contains(private)), "{name} is repeated: {answer}");
    }
}
