//! Everything that can be wrong with a request has one clear answer, and loses nothing.

use serde_json::json;

use crate::support::{Answer, TestApi, mail};

#[tokio::test]
async fn a_body_that_can_not_be_read_is_refused_with_its_reason() {
    let api = TestApi::start(&[]).await;
    let large = format!("{{\"type\":\"{}\"}}", "a".repeat(128 * 1024));
    let huge = format!("{{\"mails\":[\"{}\"]}}", "a".repeat(4 * 1024 * 1024));
    for (path, content_type, body, status, slug) in [
        ("/v1/mails", "application/json", "", 400, "malformed-json"),
        ("/v1/mails", "application/json", "{", 400, "malformed-json"),
        ("/v1/mails", "application/json", "\u{feff}{}", 400, "malformed-json"),
        ("/v1/mails", "text/plain", "{}", 415, "unsupported-media-type"),
        ("/v1/mails", "application/json", &large, 413, "body-too-large"),
        ("/v1/mails", "application/json", "[]", 422, "validation-failed"),
        ("/v1/mails", "application/json", "{\"a\":1}", 422, "validation-failed"),
        ("/v1/mails/batch", "application/json", "{\"mails\":[", 400, "malformed-json"),
        ("/v1/mails/batch", "application/json", &huge, 413, "body-too-large"),
        ("/v1/mails/batch", "application/json", "{}", 422, "validation-failed"),
        ("/v1/mail", "application/json", "{}", 404, "not-found"),
    ] {
        let request = api.request(path).bearer_auth(&api.key).header("content-type", content_type);
        let answer = Answer::read(request.body(body.to_owned())).await;
        assert_eq!(answer.problem(status), slug, "{path} {}", body.get(..40).unwrap_or(body));
    }
    let get = api.get("/v1/mails").await;
    assert_eq!((get.problem(405).as_str(), get.header("allow")), ("method-not-allowed", Some("POST")));
    assert_eq!(api.count("outbox").await, 0);
}

#[tokio::test]
async fn fields_that_are_wrong_are_named_all_at_once_and_never_repeated() {
    let api = TestApi::start(&[]).await;
    let body = json!({"type": "a b", "recipient": "secret-nobody", "name": "a\nsecret", "locale": "-secret", "data": ["secret"],
        "expires_at": "2001-01-01T00:00:00Z", "priority": "secret", "colour": "secret"});
    let answer = api.send(&body).await;
    assert_eq!(answer.problem(422), "validation-failed");
    let named = ["/type", "/recipient", "/name", "/locale", "/data", "/expires_at", "/priority", "/colour"];
    assert_eq!(answer.pointers(), named);
    assert!(!answer.body.contains("secret"), "{answer:?}");
}

#[tokio::test]
async fn a_task_that_no_worker_could_read_is_refused() {
    let api = TestApi::start(&[]).await;
    for data in [json!({"x": "a".repeat(65_536)}), nested(126)] {
        let mut body = mail("ada");
        body["data"] = data;
        let answer = api.send(&body).await;
        assert_eq!((answer.problem(422).as_str(), answer.pointers()), ("validation-failed", vec!["/data".to_owned()]));
    }
    let mut body = mail("ada");
    body["data"] = nested(100);
    assert_eq!(api.send(&body).await.status, 202);
}

fn nested(deep: usize) -> serde_json::Value {
    let inner = (0..deep).fold(json!(1), |inner, _| json!([inner]));
    json!({ "x": inner })
}
