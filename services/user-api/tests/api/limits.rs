//! Too much of one client, and too much of everybody.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{TestApp, somebody};

#[tokio::test]
async fn a_client_has_a_quota_and_is_told_about_it() {
    let app = TestApp::start(&[("RATE_LIMIT", "3"), ("RATE_LIMIT_WINDOW", "1m")]).await;
    for left in ["2", "1", "0"] {
        let answer = app.register(&json!({})).await;
        assert_eq!(answer.problem(422), "validation-failed");
        assert_eq!(answer.header("ratelimit-policy"), Some("\"client\";q=3;w=60"));
        assert!(answer.header("ratelimit").unwrap().starts_with(&format!("\"client\";r={left};t=")), "{answer:?}");
    }
    let refused = app.register(&somebody("ada")).await;
    assert_eq!(refused.problem(429), "rate-limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((15..=20).contains(&wait), "a third of a minute, less what has passed: {wait}");
    assert!(refused.header("ratelimit").unwrap().starts_with("\"client\";r=0;t="), "{refused:?}");
    assert_eq!(app.count("users").await, 0);
    assert_eq!(app.get("/openapi.json").await.status, 200, "the limit is on registrations");
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_forwarded_client_has_its_own() {
    let trusting = [("RATE_LIMIT", "1"), ("RATE_LIMIT_WINDOW", "1h"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let app = TestApp::start(&trusting).await;
    let status = async |headers: &[(&str, &str)]| app.register_with(&json!({}), headers).await.status;
    assert_eq!(status(&[("x-forwarded-for", "192.0.2.1")]).await, 422);
    assert_eq!(status(&[("x-forwarded-for", "192.0.2.1")]).await, 429);
    assert_eq!(status(&[("x-forwarded-for", "198.51.100.9, 192.0.2.1")]).await, 429, "the client wrote the left one");
    assert_eq!(status(&[("x-forwarded-for", "192.0.2.2")]).await, 422);
    assert_eq!(status(&[("x-forwarded-for", "2001:db8::1")]).await, 422);
    assert_eq!(status(&[("forwarded", "for=\"[2001:db8::2]\"")]).await, 429, "the same /64");
}

#[tokio::test]
async fn a_forwarded_address_counts_for_nothing_without_a_trusted_proxy() {
    let app = TestApp::start(&[("RATE_LIMIT", "1"), ("RATE_LIMIT_WINDOW", "1h")]).await;
    assert_eq!(app.register_with(&json!({}), &[("x-forwarded-for", "192.0.2.1")]).await.status, 422);
    assert_eq!(app.register_with(&json!({}), &[("x-forwarded-for", "192.0.2.2")]).await.status, 429);
}

#[tokio::test]
async fn whoever_would_wait_too_long_for_a_hash_is_sent_away_at_once() {
    let app = TestApp::start(&[("HASH_CONCURRENCY", "1"), ("HASH_MAX_WAIT", "300ms")]).await;
    let bodies: Vec<_> = (0..80).map(|n| somebody(&format!("user{n}"))).collect();
    let answers = join_all(bodies.iter().map(|body| app.register(body))).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.problem(503), "overloaded");
    }
    assert!(created >= 1, "none of 80 was served");
    assert!(
        created <= 60,
        "{created} of 80 were served, though one hash at a time and a wait of 100 ms were asked for"
    );
    assert_eq!(app.count("users").await, i64::try_from(created).unwrap());
    let calm = async || (app.register(&somebody("later")).await.status == 201).then_some(());
    testkit::eventually("a registration succeeds once the crowd is gone", Duration::from_secs(5), calm).await;
}
