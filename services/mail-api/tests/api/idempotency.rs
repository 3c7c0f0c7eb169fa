//! Repeating a request whose answer was lost.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{OfMails as _, TestApi, add_key, mail};

const KEY: (&str, &str) = ("Idempotency-Key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");

#[tokio::test]
async fn the_same_request_with_the_same_key_gets_the_same_id_once_it_was_taken() {
    let api = TestApi::start(&[("RECIPIENT_LIMIT", "1")]).await;
    let first = api.send_with(&mail("ada"), &[KEY]).await;
    assert!(!first.replayed(), "{first:?}");
    for _ in 0..2 {
        let again = api.send_with(&mail("ada"), &[KEY]).await;
        assert_eq!((again.id(), again.replayed()), (first.id(), true), "although the recipient's limit is used up");
    }
    assert_eq!(api.count("outbox").await, 1);
}

#[tokio::test]
async fn of_fifty_at_once_one_is_taken_and_all_get_its_id() {
    let api = TestApi::start(&[]).await;
    let body = mail("ada");
    let answers = join_all((0..50).map(|_| api.send_with(&body, &[KEY]))).await;
    let ids: BTreeSet<_> = answers.iter().map(crate::support::Answer::id).collect();
    assert_eq!((ids.len(), answers.iter().filter(|answer| !answer.replayed()).count()), (1, 1));
    assert_eq!(api.count("outbox").await, 1);
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused_and_another_caller_has_keys_of_their_own() {
    let api = TestApi::start(&[]).await;
    let first = api.send_with(&mail("ada"), &[KEY]).await.id();
    let mut other = mail("ada");
    other["data"] = json!({"order": 8});
    for body in [other, mail("bob")] {
        assert_eq!(api.send_with(&body, &[KEY]).await.problem(422), "idempotency-key-reused", "{body}");
    }
    let batch = api.batch_with(&[mail("ada")], &[KEY]).await;
    assert_eq!(batch.problem(422), "idempotency-key-reused");
    let caller = add_key(api.pool(), &["another"]).await;
    let theirs = crate::support::Answer::read(
        api.request("/v1/mails").bearer_auth(caller).header(KEY.0, KEY.1).json(&mail("bob")),
    );
    assert_ne!(theirs.await.id(), first);
    assert_eq!(api.count("outbox").await, 2);
}

#[tokio::test]
async fn a_mail_that_was_taken_in_time_is_not_refused_when_its_time_has_come() {
    let api = TestApi::start(&[]).await;
    let mut body = mail("ada");
    let soon = time::OffsetDateTime::now_utc() + std::time::Duration::from_secs(2);
    body["expires_at"] = json!(soon.format(&time::format_description::well_known::Rfc3339).unwrap());
    let first = api.send_with(&body, &[KEY]).await.id();
    tokio::time::sleep_until(tokio::time::Instant::now() + std::time::Duration::from_secs(3)).await;
    let again = api.send_with(&body, &[KEY]).await;
    assert_eq!((again.id(), again.replayed()), (first, true));
    assert_eq!(api.send(&body).await.pointers(), ["/expires_at"], "without the key it is over");
}

#[tokio::test]
async fn after_a_day_a_key_stands_for_nothing_and_is_purged() {
    let api = TestApi::start(&[]).await;
    let first = api.send_with(&mail("ada"), &[KEY]).await.id();
    api.execute("UPDATE sluice.idempotency_keys SET created_at = now() - interval '25 hours'").await;
    let again = api.send_with(&mail("ada"), &[KEY]).await;
    assert!(again.id() != first && !again.replayed());
    api.execute("UPDATE sluice.idempotency_keys SET created_at = now() - interval '25 hours'").await;
    assert_eq!(mail_api::db::purge_expired_keys(api.pool().clone(), 10).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let api = TestApi::start(&[]).await;
    for header in ["", "a b", "caf\u{e9}"] {
        let answer = api.send_with(&mail("ada"), &[("Idempotency-Key", header)]).await;
        assert_eq!(answer.problem(400), "invalid-idempotency-key", "{header:?}");
    }
    let twice = api.send_with(&mail("ada"), &[KEY, KEY]).await;
    assert_eq!(twice.problem(400), "invalid-idempotency-key");
    assert_eq!(api.count("outbox").await, 0);
}
