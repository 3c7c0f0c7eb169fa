//! Whatever is sent as a mail: what is taken keeps to the OpenAPI document and is what the worker reads, and what is refused is refused
//! without repeating it.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use testkit::fuzz::Target;
use web::{Kind, json};

use super::*;
use crate::{openapi, recipient};

#[test]
fn fuzz_mail_requests() {
    let words: [&[u8]; 12] = [
        br#""type":"#,
        br#""recipient":"#,
        br#""name":"#,
        br#""data":{"#,
        br#""expires_at":"2099-01-01T00:00:00Z","#,
        br#""priority":"normal","#,
        br#""ada@example.com""#,
        br#""email.welcome""#,
        b"null",
        b"\\ud83d",
        b"+1",
        b"[[[[",
    ];
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    let schema = &document["components"]["schemas"]["Mail"];
    let floors = [("taken", 2), ("refused", 300)];
    let target = Target { name: "mail-requests", words: &words, runs: 6_000, longest: 128 * 1024, floors: &floors };
    let (scope, now) = (Scope::default(), OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
    let rules = Rules { scope: &scope, types: None, now };
    target.fuzz(|body| match json::value(body).and_then(|value| rules.read(value)) {
        Ok(asked) => {
            taken(body, &asked, schema, now);
            "taken"
        }
        Err(problem) => {
            refused(body, &problem);
            "refused"
        }
    });
}

fn taken(body: &[u8], asked: &Asked, schema: &Value, now: OffsetDateTime) {
    let sent: Value = serde_json::from_slice(body).unwrap();
    let members = sent.as_object().unwrap();
    assert!(schema["required"].as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap())));
    for (name, value) in members {
        let rules = schema["properties"].get(name).unwrap_or_else(|| panic!("{name} is not in the document"));
        let Some(text) = value.as_str() else { continue };
        let length = text.chars().count() as u64;
        assert!(rules["minLength"].as_u64().unwrap_or(0) <= length, "{name} is too short for the document: {text:?}");
        assert!(rules["maxLength"].as_u64().unwrap_or(u64::MAX) >= length, "{name} is too long: {text:?}");
    }
    let Asked { task, body, expires_at, .. } = asked;
    assert!(body.len() <= MAX_BODY && expires_at.is_none_or(|at| at > now));
    let read = MailTask::decode(Some(task.mail_type.as_str()), body);
    assert_eq!(read.as_ref(), Ok(task), "the worker reads another task");
    assert_eq!(
        recipient::digest(&task.email),
        recipient::digest(&task.email.folded().parse().unwrap_or(task.email.clone()))
    );
    let shown = format!("{asked:?}");
    assert!(!shown.contains(task.email.as_str()), "{shown}");
}

fn refused(body: &[u8], problem: &Problem) {
    let json = problem.json("id");
    assert!(json.len() <= 4_096 + 2 * body.len(), "{} bytes answer {} bytes", json.len(), body.len());
    let answer: Value = serde_json::from_slice(&json).unwrap();
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    assert!([Kind::MALFORMED_JSON, Kind::VALIDATION_FAILED].contains(&problem.kind()), "{answer}");
    assert_eq!(errors.is_empty(), problem.kind() == Kind::MALFORMED_JSON, "{answer}");
    let Ok(sent) = serde_json::from_slice::<Value>(body) else { return };
    let told: String = errors.iter().filter_map(|error| error["detail"].as_str()).collect();
    let private = sent["recipient"].as_str().filter(|text| text.len() >= 8);
    assert!(private.is_none_or(|private| !told.contains(private)), "the address is repeated: {answer}");
}
