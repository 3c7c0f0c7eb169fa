//! Who may ask.

use std::time::{Duration, Instant};

use mail_api::keys::commands::Refused;
use mail_api::keys::{NoKeys, Token};
use mail_api::serve::Serve;
use serde_json::Value;
use testkit::eventually;
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, SOON, TestApi, add_key, config, keys, mail, migrated};

#[tokio::test]
async fn without_a_good_key_nobody_is_let_in() {
    let api = TestApi::start(&[]).await;
    let (id, _) = api.key.rsplit_once('_').unwrap();
    let wrong_secret = format!("{id}_{}", "0".repeat(64));
    let unknown = Token::generate().expose();
    for value in [
        None,
        Some("Bearer".to_owned()),
        Some(format!("Basic {}", api.key)),
        Some(api.key.clone()),
        Some("Bearer slc_1".to_owned()),
        Some(format!("Bearer {wrong_secret}")),
        Some(format!("Bearer {unknown}")),
    ] {
        let mut request = api.request("/v1/mails").json(&mail("ada"));
        if let Some(value) = &value {
            request = request.header("authorization", value);
        }
        assert_eq!(Answer::read(request).await.problem(401), "unauthorized", "{value:?}");
    }
    let good = format!("bearer  {}", api.key);
    let twice = api.request("/v1/mails").json(&mail("ada")).header("authorization", &good);
    assert_eq!(Answer::read(twice.header("authorization", &good)).await.problem(401), "unauthorized");
    let batch = Answer::read(api.request("/v1/mails/batch").json(&mail("ada"))).await;
    assert_eq!(batch.problem(401), "unauthorized");
    assert_eq!(api.count("outbox").await, 0);
    let taken = Answer::read(api.request("/v1/mails").json(&mail("ada")).header("authorization", good)).await;
    assert_eq!(taken.status, 202, "the scheme has no case");
}

#[tokio::test]
async fn a_new_key_is_good_at_once_and_a_revoked_one_is_not_after_five_seconds() {
    let api = TestApi::start(&[]).await;
    let key = add_key(api.pool(), &["shop"]).await;
    assert_eq!(api.send_as(&key, &mail("ada")).await.status, 202, "at once");
    let told = keys(api.pool(), &["revoke", "shop"]).await.unwrap();
    assert!(told.starts_with("revoked "), "{told}");
    let revoked = Instant::now();
    eventually("it is refused", SOON, async || (api.send_as(&key, &mail("ada")).await.status == 401).then_some(()))
        .await;
    assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
    assert_eq!(api.send(&mail("ada")).await.status, 202, "the other one is still good");
    // The name is free again, for another key.
    let next = add_key(api.pool(), &["shop"]).await;
    assert_eq!(api.send_as(&next, &mail("ada")).await.status, 202);
}

#[tokio::test]
async fn a_key_ends_by_itself_and_asks_for_its_types_alone() {
    let api = TestApi::start(&[]).await;
    let short = add_key(api.pool(), &["short", "--expires", "2s"]).await;
    let scoped = add_key(api.pool(), &["scoped", "--type", "order.shipped", "--type", "order.paid"]).await;
    assert_eq!(api.send_as(&short, &mail("ada")).await.status, 202);
    assert_eq!(api.send_as(&scoped, &mail("ada")).await.status, 202);
    let mut other = mail("ada");
    other["type"] = "order.lost".into();
    assert_eq!(api.send_as(&scoped, &other).await.problem(403), "type-not-allowed");
    eventually("it is over", SOON, async || (api.send_as(&short, &mail("ada")).await.status == 401).then_some(()))
        .await;
}

#[tokio::test]
async fn keys_are_listed_and_nothing_that_makes_them_good_is_kept() {
    let database = migrated().await;
    let pool = database.pool();
    let shop = add_key(pool, &["shop", "--type", "order.paid", "--expires", "2099-01-31T00:00:00Z"]).await;
    add_key(pool, &["blog"]).await;
    keys(pool, &["revoke", "blog"]).await.unwrap();
    let table = keys(pool, &["list"]).await.unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("NAME  ID                STATE    TYPES       CREATED"), "{table}");
    let id = &shop[4..20];
    assert!(lines[1].starts_with(&format!("shop  {id}  good     order.paid  20")), "{table}");
    assert!(lines[1].ends_with("2099-01-31T00:00:00Z") && lines[2].contains("revoked  all"), "{table}");
    let json: Value = serde_json::from_str(&keys(pool, &["list", "--json"]).await.unwrap()).unwrap();
    assert_eq!(
        (&json[0]["name"], &json[0]["types"][0], &json[0]["id"]),
        (&"shop".into(), &"order.paid".into(), &id.into())
    );
    assert_eq!((&json[1]["state"], &json[1]["types"]), (&"revoked".into(), &Value::Null));
    let secret = &shop[21..];
    let kept: String =
        sqlx::query_scalar("SELECT string_agg(k::text, ' ') FROM sluice.api_keys k").fetch_one(pool).await.unwrap();
    assert!(!kept.contains(secret) && !table.contains(secret), "the secret is kept");
}

#[tokio::test]
async fn what_a_command_can_not_do_it_says() {
    let database = migrated().await;
    let pool = database.pool();
    add_key(pool, &["shop"]).await;
    for (arguments, line) in [
        (&["add", "shop"][..], "there is a key named shop already"),
        (&["revoke", "blog"], "there is no key named blog"),
        (&["add", "blog", "--expires", "2001-01-01T00:00:00Z"], "--expires lies in the past"),
    ] {
        let error = keys(pool, arguments).await.unwrap_err();
        assert!(error.is::<Refused>() && error.to_string().starts_with(line), "{error}");
    }
}

#[tokio::test]
async fn with_no_key_that_is_good_it_does_not_start() {
    let database = migrated().await;
    let start = async || {
        let app = Serve::build(config(database.url(), &[])).await.unwrap();
        let ended = tokio::time::timeout(SOON, app.run(CancellationToken::new())).await.expect("it ends");
        ended.unwrap_err()
    };
    assert!(start().await.is::<NoKeys>(), "there was none ever");
    add_key(database.pool(), &["shop"]).await;
    keys(database.pool(), &["revoke", "shop"]).await.unwrap();
    assert!(start().await.is::<NoKeys>(), "the only one is revoked");
}

#[tokio::test]
async fn told_to_it_starts_without_a_key_says_so_and_lets_the_first_one_in() {
    let (database, nobodys) = (migrated().await, Token::generate().expose());
    let url = database.url().to_owned();
    let api = TestApi::serve(database, &url, nobodys, &[("START_WITHOUT_KEYS", "true")]).await;
    eventually("it says what is missing", SOON, async || {
        api.ready().await.body.contains("mail-api keys add NAME").then_some(())
    })
    .await;
    assert_eq!(api.send(&mail("ada")).await.status, 401);
    let key = add_key(api.pool(), &["shop"]).await;
    assert_eq!(api.send_as(&key, &mail("ada")).await.status, 202);
    eventually("nothing is missing", SOON, async || (!api.ready().await.body.contains("keys add")).then_some(())).await;
}
