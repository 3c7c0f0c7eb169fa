//! How much may be asked for.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{TestApi, add_key, mail};

fn to(recipient: &str) -> Value {
    json!({"type": "order.paid", "recipient": recipient})
}

#[tokio::test]
async fn a_bomber_comes_to_ten_mails_an_hour_whatever_stands_behind_the_plus() {
    let database = crate::support::migrated().await;
    // Nothing is set: the default stops it.
    let api = TestApi::over(database, &[("RECIPIENT_LIMIT", "")]).await;
    let addresses = (0..30).map(|n| match n % 3 {
        0 => "ada@example.com".to_owned(),
        1 => format!("Ada+{n}@Example.com"),
        _ => format!("ADA+x+{n}@example.COM"),
    });
    let mut taken = 0;
    for address in addresses {
        let answer = api.send(&to(&address)).await;
        if answer.status == 202 {
            taken += 1;
        } else {
            assert_eq!(answer.problem(429), "recipient-limited");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((300..=360).contains(&wait), "the next one comes back after six minutes: {wait}");
        }
    }
    assert_eq!((taken, api.count("outbox").await), (10, 10));
    assert_eq!(api.send(&to("bob@example.com")).await.status, 202, "others are not concerned");
}

#[tokio::test]
async fn the_limits_of_recipients_are_on_unless_they_are_turned_off() {
    let config =
        crate::support::config("postgres://u@127.0.0.1:9/d", &[("RECIPIENT_LIMIT", ""), ("KEY_RATE_LIMIT", "")]);
    assert_eq!((config.limits.recipient_limit, config.limits.recipient_limit_window.as_secs()), (10, 3600));
    assert_eq!((config.limits.key_rate_limit, config.limits.key_rate_limit_window.as_secs()), (6000, 60));
}

#[tokio::test]
async fn two_replicas_and_many_requests_at_once_have_one_limit() {
    let api = TestApi::start(&[("RECIPIENT_LIMIT", "7")]).await;
    let url = api.database.url().to_owned();
    let other =
        TestApi::serve(crate::support::migrated().await, &url, api.key.clone(), &[("RECIPIENT_LIMIT", "7")]).await;
    let body = to("ada@example.com");
    let answers = join_all((0..40).map(|n| if n % 2 == 0 { api.send(&body) } else { other.send(&body) })).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!((taken, api.count("outbox").await), (7, 7));
}

#[tokio::test]
async fn batches_that_share_recipients_in_any_order_do_not_lock_each_other_out() {
    let api = TestApi::start(&[("RECIPIENT_LIMIT", "1000000")]).await;
    let forth: Vec<Value> = (0..100).map(|n| to(&format!("ada{n}@example.com"))).collect();
    let back: Vec<Value> = forth.iter().rev().cloned().collect();
    let answers = join_all((0..20).map(|n| if n % 2 == 0 { api.batch(&forth) } else { api.batch(&back) })).await;
    assert!(
        answers.iter().all(|answer| answer.status == 202),
        "{:?}",
        answers.iter().map(|it| it.status).collect::<Vec<_>>()
    );
    assert_eq!(api.count("outbox").await, 2_000);
}

#[tokio::test]
async fn what_a_recipient_has_had_comes_back_and_is_forgotten() {
    let api = TestApi::start(&[("RECIPIENT_LIMIT", "2"), ("RECIPIENT_LIMIT_WINDOW", "4s")]).await;
    let statuses = async |n: usize| {
        let mut statuses = Vec::new();
        for _ in 0..n {
            statuses.push(api.send(&to("ada@example.com")).await.status);
        }
        statuses
    };
    assert_eq!(statuses(3).await, [202, 202, 429]);
    testkit::eventually("one has come back", crate::support::SOON, async || {
        (api.send(&to("ada@example.com")).await.status == 202).then_some(())
    })
    .await;
    assert_eq!(mail_api::db::purge_recipients(api.pool().clone(), 10).await.unwrap(), 0, "it still counts");
    testkit::eventually("it is forgotten", crate::support::SOON, async || {
        (mail_api::db::purge_recipients(api.pool().clone(), 10).await.unwrap() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_asks_for_so_many_mails_and_is_told_what_is_left() {
    let api = TestApi::start(&[("KEY_RATE_LIMIT", "10"), ("KEY_RATE_LIMIT_WINDOW", "1h")]).await;
    let key = add_key(api.pool(), &["fresh"]).await;
    let first = api.send_as(&key, &mail("ada")).await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=10;w=3600"));
    assert_eq!(first.header("ratelimit"), Some("\"key\";r=9;t=360"));
    let batch = async |n: usize| {
        let mails: Vec<_> = (0..n).map(|n| mail(&format!("bob{n}"))).collect();
        crate::support::Answer::read(api.request("/v1/mails/batch").bearer_auth(&key).json(&json!({ "mails": mails })))
            .await
    };
    assert_eq!(batch(5).await.header("ratelimit"), Some("\"key\";r=4;t=2160"));
    let refused = batch(6).await;
    assert_eq!(refused.problem(429), "rate-limited", "it has room for some of them, and none is taken");
    assert_eq!(refused.header("ratelimit"), Some("\"key\";r=3;t=2520"), "each request costs one, refused or not");
    assert_eq!(batch(11).await.problem(422), "validation-failed", "it never has room for so many");
    assert_eq!(api.count("outbox").await, 6);
    for _ in 0..2 {
        assert_eq!(api.send_as(&key, &mail("ada")).await.status, 202);
    }
    assert_eq!(api.send_as(&key, &mail("ada")).await.problem(429), "rate-limited");
}
