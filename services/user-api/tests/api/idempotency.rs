//! Repeating a request whose answer was lost.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Answer, TestApp, somebody};

const KEY: (&str, &str) = ("Idempotency-Key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[tokio::test]
async fn the_same_request_with_the_same_key_gets_the_same_answer() {
    let app = TestApp::start(&[]).await;
    let first = app.register_with(&somebody("ada"), &[KEY]).await;
    assert_eq!((first.status, replayed(&first)), (201, false), "{first:?}");
    for key in [KEY, ("idempotency-key", KEY.1.trim_matches('"'))] {
        let again = app.register_with(&somebody("ada"), &[key]).await;
        assert_eq!((again.status, replayed(&again)), (201, true), "{again:?}");
        assert_eq!(again.json(), first.json());
    }
    assert_eq!((app.count("users").await, app.count("outbox").await), (1, 1));
}

#[tokio::test]
async fn of_fifty_with_one_key_all_get_the_same_answer() {
    let app = TestApp::start(&[("HASH_CONCURRENCY", "4"), ("HASH_MAX_WAIT", "1m"), ("REQUEST_TIMEOUT", "1m")]).await;
    let body = somebody("ada");
    let answers = join_all((0..50).map(|_| app.register_with(&body, &[KEY]))).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.json() == answers[0].json()), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| !replayed(answer)).count(), 1);
    assert_eq!((app.count("users").await, app.count("outbox").await), (1, 1));
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused() {
    let app = TestApp::start(&[]).await;
    assert_eq!(app.register_with(&somebody("ada"), &[KEY]).await.status, 201);
    let with = |name: &str, value: &str| {
        let mut body = somebody("ada");
        body[name] = json!(value);
        body
    };
    for body in [
        with("username", "bob"),
        with("username", "ADA"),
        with("email", "bob@example.com"),
        with("password", "incorrect horse"),
        with("locale", "zh"),
        somebody("bob"),
    ] {
        let answer = app.register_with(&body, &[KEY]).await;
        assert_eq!(answer.problem(422), "idempotency-key-reused", "{body}");
    }
    assert_eq!((app.count("users").await, app.count("outbox").await), (1, 1));
}

#[tokio::test]
async fn what_the_browser_would_like_is_no_part_of_the_request() {
    let app = TestApp::start(&[]).await;
    let asked = [KEY, ("accept-language", "zh")];
    assert_eq!(app.register_with(&somebody("ada"), &asked).await.status, 201);
    for again in [&asked[..], &[KEY], &[KEY, ("accept-language", "de, en;q=0.5")]] {
        let answer = app.register_with(&somebody("ada"), again).await;
        assert_eq!((answer.status, replayed(&answer)), (201, true), "{again:?}: {answer:?}");
    }
    let mut other = somebody("ada");
    other["locale"] = json!("de");
    assert_eq!(app.register_with(&other, &[KEY]).await.problem(422), "idempotency-key-reused");
}

#[tokio::test]
async fn a_key_is_kept_for_successes_alone() {
    let app = TestApp::start(&[]).await;
    assert_eq!(app.register(&somebody("ada")).await.status, 201);
    assert_eq!(app.register_with(&somebody("ada"), &[KEY]).await.problem(409), "already-taken");
    assert_eq!(app.register_with(&json!({}), &[KEY]).await.problem(422), "validation-failed");
    assert_eq!(app.count("idempotency_keys").await, 0);
    let other = app.register_with(&somebody("bob"), &[KEY]).await;
    assert_eq!((other.status, replayed(&other)), (201, false));
}

#[tokio::test]
async fn a_key_counts_as_absent_after_24_hours() {
    let app = TestApp::start(&[]).await;
    let expire = "UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second'";
    assert_eq!(app.register_with(&somebody("ada"), &[KEY]).await.status, 201);
    sqlx::query(expire).execute(app.pool()).await.unwrap();
    // The name is still taken; the key says nothing about it any more.
    assert_eq!(app.register_with(&somebody("ada"), &[KEY]).await.problem(409), "already-taken");
    let other = app.register_with(&somebody("bob"), &[KEY]).await;
    assert_eq!((other.status, replayed(&other)), (201, false), "{other:?}");
    assert!(replayed(&app.register_with(&somebody("bob"), &[KEY]).await), "the new registration has the key now");

    sqlx::query(expire).execute(app.pool()).await.unwrap();
    assert_eq!(app.register_with(&somebody("eve"), &[("Idempotency-Key", "fresh")]).await.status, 201);
    assert_eq!(user_api::db::purge_expired_keys(app.pool().clone(), 10).await.unwrap(), 1, "the expired one");
    assert_eq!(app.count("idempotency_keys").await, 1, "the fresh one stays");
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let app = TestApp::start(&[]).await;
    let long = "k".repeat(256);
    for key in ["", "\"\"", "two words", &long] {
        let answer = app.register_with(&somebody("ada"), &[("Idempotency-Key", key)]).await;
        assert_eq!(answer.problem(400), "invalid-idempotency-key", "{key:?}");
    }
    let twice = app.register_with(&somebody("ada"), &[KEY, ("Idempotency-Key", "another")]).await;
    assert_eq!(twice.problem(400), "invalid-idempotency-key");
    assert_eq!(app.count("users").await, 0);
}
