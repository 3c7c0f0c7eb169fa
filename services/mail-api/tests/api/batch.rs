//! Many mails in one request, each with a result of its own.

use serde_json::{Value, json};

use crate::support::{Answer, OfMails as _, TestApi, add_key, mail};

#[tokio::test]
async fn five_hundred_are_taken_together_and_one_more_is_too_many() {
    let api = TestApi::start(&[]).await;
    let mails: Vec<Value> = (0..500).map(|n| mail(&format!("ada{n}"))).collect();
    let answer = api.batch(&mails).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.statuses(), [202; 500]);
    let ids: std::collections::BTreeSet<String> =
        answer.json()["results"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), api.count("outbox").await), (500, 500));
    let more: Vec<Value> = (0..501).map(|n| mail(&format!("bob{n}"))).collect();
    let refused = api.batch(&more).await;
    assert_eq!((refused.problem(422), refused.pointers()), ("validation-failed".to_owned(), vec!["/mails".to_owned()]));
    assert_eq!(api.count("outbox").await, 500);
}

#[tokio::test]
async fn each_mail_of_a_mixed_batch_has_its_own_result() {
    let api = TestApi::start(&[("RECIPIENT_LIMIT", "1")]).await;
    let scoped = add_key(api.pool(), &["scoped", "--type", "order.paid"]).await;
    let mails = json!({"mails": [
        mail("ada"),
        {"type": "order.paid", "recipient": "nobody", "x": 1},
        {"type": "email.welcome", "recipient": "bob@example.com"},
        mail("ada"),
        7,
        mail("carol"),
    ]});
    let answer = Answer::read(api.request("/v1/mails/batch").bearer_auth(&scoped).json(&mails)).await;
    assert_eq!(answer.status, 207, "{answer:?}");
    assert_eq!(answer.statuses(), [202, 422, 403, 429, 422, 202]);
    let json = answer.json();
    let results = json["results"].as_array().unwrap();
    for (at, slug) in [(1, "validation-failed"), (2, "type-not-allowed"), (3, "recipient-limited")] {
        assert_eq!(results[at]["problem"]["type"], format!("/problems/{slug}"), "{json}");
        assert!(results[at].get("id").is_none(), "{json}");
    }
    let pointers: Vec<_> =
        results[1]["problem"]["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/recipient", "/x"]);
    assert!(results[3]["problem"]["retry_after"].as_u64().unwrap() > 3_500, "{json}");
    assert_eq!(api.count("outbox").await, 2);
}

#[tokio::test]
async fn a_repeated_batch_has_the_same_results_whatever_has_changed() {
    let api = TestApi::start(&[("RECIPIENT_LIMIT", "1")]).await;
    let key = [("Idempotency-Key", "batch-1")];
    let mails = [mail("ada"), json!({"type": "order.paid"}), mail("ada"), mail("bob")];
    let first = api.batch_with(&mails, &key).await;
    assert_eq!((first.status, first.replayed(), first.statuses()), (207, false, vec![202, 422, 429, 202]));
    for _ in 0..2 {
        let again = api.batch_with(&mails, &key).await;
        assert_eq!((again.status, again.replayed()), (207, true), "{again:?}");
        assert_eq!(again.statuses(), first.statuses());
        for at in [0, 1, 3] {
            assert_eq!(again.json()["results"][at], first.json()["results"][at]);
        }
    }
    let other = api.batch_with(&mails[..1], &key).await;
    assert_eq!(other.problem(422), "idempotency-key-reused");
    assert_eq!(api.count("outbox").await, 2);
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_good_leaves_nothing_behind() {
    let api = TestApi::start(&[]).await;
    let answer = api.batch_with(&[json!({}), json!([])], &[("Idempotency-Key", "k")]).await;
    assert_eq!((answer.status, answer.statuses()), (207, vec![422, 422]));
    assert_eq!((api.count("outbox").await, api.count("idempotency_keys").await), (0, 0));
    let good = api.batch_with(&[mail("ada")], &[("Idempotency-Key", "k")]).await;
    assert_eq!((good.status, good.replayed()), (202, false), "nothing was kept of it");
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole() {
    let api = TestApi::start(&[]).await;
    for (body, pointers) in [
        (json!({}), vec!["/mails"]),
        (json!({"mails": []}), vec!["/mails"]),
        (json!({"mails": {}}), vec!["/mails"]),
        (json!({"mails": [mail("ada")], "more": 1}), vec!["/more"]),
        (json!([mail("ada")]), vec![""]),
    ] {
        let answer = Answer::read(api.request("/v1/mails/batch").bearer_auth(&api.key).json(&body)).await;
        assert_eq!(
            (answer.problem(422).as_str(), answer.pointers()),
            ("validation-failed", pointers.iter().map(|p| (*p).to_owned()).collect()),
            "{body}"
        );
    }
    assert_eq!(api.count("outbox").await, 0);
}
