//! What a registration leaves behind.

use contract::MailTask;
use futures_util::future::join_all;
use serde_json::json;
use sqlx::Row as _;
use uuid::Uuid;

use crate::support::{TestApp, somebody};

#[tokio::test]
async fn a_registration_commits_user_and_task_although_no_broker_is_there() {
    let app = TestApp::start(&[]).await;
    let body =
        json!({"username": "Ada", "email": "Ada@B\u{fc}cher.example", "password": "correct horse", "locale": "zh-CN"});
    let answer = app.register(&body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let user = answer.json();
    let fields: Vec<_> = user.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["created_at", "email", "id", "username"]);
    assert_eq!((&user["username"], &user["email"]), (&json!("Ada"), &json!("Ada@B\u{fc}cher.example")));

    let row = sqlx::query("SELECT id, email_folded, password_hash, created_at FROM users").fetch_one(app.pool()).await;
    let row = row.unwrap();
    let id: Uuid = row.get("id");
    assert_eq!((user["id"].as_str().unwrap(), id.get_version_num()), (id.to_string().as_str(), 7));
    assert_eq!(row.get::<String, _>("email_folded"), "ada@xn--bcher-kva.example");
    assert!(row.get::<String, _>("password_hash").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let created_at = row.get::<time::OffsetDateTime, _>("created_at");
    let told = time::OffsetDateTime::parse(
        user["created_at"].as_str().unwrap(),
        &time::format_description::well_known::Rfc3339,
    );
    assert_eq!(told.unwrap(), created_at);

    let task = sqlx::query("SELECT id, task_type, body, traceparent FROM outbox").fetch_one(app.pool()).await.unwrap();
    assert_eq!(task.get::<Uuid, _>("id").get_version_num(), 7);
    assert_eq!(task.get::<String, _>("task_type"), "email.welcome");
    let mail = MailTask::decode(Some("email.welcome"), task.get("body")).unwrap();
    assert_eq!((mail.email.as_str(), mail.name.as_deref()), ("Ada@B\u{fc}cher.example", Some("Ada")));
    assert_eq!(mail.locale.as_deref(), Some("zh-CN"));
}

#[tokio::test]
async fn without_a_locale_the_mail_is_in_the_language_that_the_browser_wants_most() {
    let app = TestApp::start(&[]).await;
    let wish = ("accept-language", "en;q=0.7, zh-TW, zh;q=0.9");
    assert_eq!(app.register_with(&somebody("ada"), &[wish]).await.status, 201);
    let mut body = somebody("bob");
    body["locale"] = json!("en");
    assert_eq!(app.register_with(&body, &[wish]).await.status, 201);
    assert_eq!(app.register_with(&somebody("cleo"), &[("accept-language", "*, ?;q=7")]).await.status, 201);

    let tasks = sqlx::query("SELECT body FROM outbox ORDER BY id").fetch_all(app.pool()).await.unwrap();
    let mails = tasks.iter().map(|task| MailTask::decode(Some("email.welcome"), task.get("body")).unwrap());
    let locales: Vec<_> = mails.map(|mail| mail.locale).collect();
    assert_eq!(locales, [Some("zh-TW".to_owned()), Some("en".to_owned()), None]);
    let users = "SELECT locale FROM users ORDER BY id";
    let stored: Vec<Option<String>> = sqlx::query_scalar(users).fetch_all(app.pool()).await.unwrap();
    assert_eq!(stored, locales);
}

#[tokio::test]
async fn of_fifty_that_want_the_same_name_one_gets_it() {
    let app = TestApp::start(&[("HASH_CONCURRENCY", "4")]).await;
    let one = |n: usize| {
        let name = if n.is_multiple_of(2) { "wanted" } else { "WANTED" };
        json!({"username": name, "email": format!("n{n}@example.com"), "password": "correct horse"})
    };
    let bodies: Vec<_> = (0..50).map(one).collect();
    let answers = join_all(bodies.iter().map(|body| app.register(body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.problem(409).as_str(), answer.pointers()), ("already-taken", vec!["/username".to_owned()]));
    }
    assert_eq!((app.count("users").await, app.count("outbox").await), (1, 1));
}

#[tokio::test]
async fn of_fifty_that_have_the_same_address_one_gets_in() {
    let app = TestApp::start(&[("HASH_CONCURRENCY", "4")]).await;
    let spellings = ["ada@b\u{fc}cher.example", "ADA@B\u{dc}CHER.example", "Ada@xn--bcher-kva.EXAMPLE"];
    let one = |n: usize| json!({"username": format!("n{n}-x"), "email": spellings[n % 3], "password": "correct horse"});
    let bodies: Vec<_> = (0..50).map(one).collect();
    let answers = join_all(bodies.iter().map(|body| app.register(body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.problem(409).as_str(), answer.pointers()), ("already-taken", vec!["/email".to_owned()]));
    }
    assert_eq!((app.count("users").await, app.count("outbox").await), (1, 1));
}

#[tokio::test]
async fn whoever_wants_a_name_and_an_address_that_are_both_taken_is_told_both() {
    let app = TestApp::start(&[]).await;
    assert_eq!(app.register(&somebody("ada")).await.status, 201);
    let again = app.register(&somebody("ADA")).await;
    assert_eq!(
        (again.problem(409).as_str(), again.pointers()),
        ("already-taken", vec!["/username".into(), "/email".into()])
    );
}
