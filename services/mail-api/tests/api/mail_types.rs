//! Where it has the files of the workers, it knows what their types ask for.

use std::fs;

use serde_json::json;
use testkit::{Dir, eventually};

use crate::support::{SOON, TestApi, add_key};

fn paid(directory: &Dir, toml: &str) {
    for (name, text) in
        [("order.paid.toml", toml), ("order.paid.en.subject", "Paid"), ("order.paid.en.txt", "Order {{ order }}")]
    {
        fs::write(directory.path().join(name), text).unwrap();
    }
}

#[tokio::test]
async fn types_and_their_fields_are_checked_before_a_mail_is_taken() {
    let directory = Dir::new("mail-types");
    paid(&directory, "priority = \"high\"\n[fields]\norder = \"number\"\n[sample]\norder = 7\n");
    let api = TestApi::start(&[("MAILS_DIR", directory.path().to_str().unwrap())]).await;
    let mail = |data| json!({"type": "order.paid", "recipient": "ada@example.com", "data": data});
    assert_eq!(api.send(&mail(json!({"order": 7, "more": 1}))).await.status, 202);
    for (data, what) in [(json!({}), "is missing"), (json!({"order": "7"}), "must be a number")] {
        let answer = api.send(&mail(data)).await;
        assert_eq!(
            (answer.problem(422).as_str(), answer.pointers()),
            ("validation-failed", vec!["/data/order".to_owned()])
        );
        assert!(answer.body.contains(what), "{answer:?}");
    }
    let mut unknown = mail(json!({}));
    unknown["type"] = "order.lost".into();
    let answer = api.send(&unknown).await;
    assert_eq!((answer.problem(422).as_str(), answer.pointers()), ("validation-failed", vec!["/type".to_owned()]));
    assert!(answer.body.contains("there is email.welcome, order.paid"), "{answer:?}");
    let scoped = add_key(api.pool(), &["scoped", "--type", "order.lost", "--type", "order.paid"]).await;
    let answer = api.send_as(&scoped, &unknown).await;
    assert!(answer.problem(422) == "validation-failed" && answer.body.contains("there is order.paid\""), "{answer:?}");
    let priority: String =
        sqlx::query_scalar("SELECT priority FROM sluice.outbox").fetch_one(api.pool()).await.unwrap();
    assert_eq!(priority, "high", "the type says so");
}

#[tokio::test]
async fn files_that_change_are_followed() {
    let directory = Dir::new("mail-types");
    paid(&directory, "[fields]\norder = \"number\"\n[sample]\norder = 7\n");
    let api = TestApi::start(&[("MAILS_DIR", directory.path().to_str().unwrap())]).await;
    let mail = json!({"type": "order.paid", "recipient": "ada@example.com", "data": {"order": "A-7"}});
    assert_eq!(api.send(&mail).await.problem(422), "validation-failed");
    paid(&directory, "[fields]\norder = \"text\"\n[sample]\norder = \"A-7\"\n");
    eventually("the new files are in use", SOON, async || (api.send(&mail).await.status == 202).then_some(())).await;
}
