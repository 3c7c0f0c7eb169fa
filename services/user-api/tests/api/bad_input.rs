//! Everything that a client can get wrong, over HTTP. The fine points of JSON are tested where it is read.

use serde_json::json;

use crate::support::{Answer, TestApp, somebody};

#[tokio::test]
async fn a_body_that_is_no_registration_is_refused_with_the_fields_named() {
    let app = TestApp::start(&[]).await;
    let table: &[(&str, u16, &str, &[&str])] = &[
        ("", 400, "malformed-json", &[]),
        ("{\"username\":", 400, "malformed-json", &[]),
        ("not json", 400, "malformed-json", &[]),
        ("[]", 422, "validation-failed", &[""]),
        ("{}", 422, "validation-failed", &["/username", "/email", "/password"]),
        (
            r#"{"username":7,"email":{},"password":null}"#,
            422,
            "validation-failed",
            &["/username", "/email", "/password"],
        ),
        (
            r#"{"username":"a\u0000b","email":"a@b.cd","password":"\ud800 is half a pair","admin":true}"#,
            422,
            "validation-failed",
            &["/username", "/password", "/admin"],
        ),
        (
            r#"{"username":"ada","email":"a@b.cd","email":"e@b.cd","password":"hunter22"}"#,
            422,
            "validation-failed",
            &["/email"],
        ),
        (
            r#"{"username":"<b>buy</b> now","email":"a@b.cd","password":"12345678"}"#,
            422,
            "validation-failed",
            &["/username", "/password"],
        ),
    ];
    for (body, status, slug, pointers) in table {
        let answer = app.post("application/json", *body).await;
        assert_eq!(answer.problem(*status), *slug, "{body}");
        assert_eq!(answer.pointers(), *pointers, "{body}");
    }
    let not_utf8 = app.post("application/json", b"{\"username\":\"\xff\xfe\"}".to_vec()).await;
    assert_eq!(not_utf8.problem(400), "malformed-json");
    assert_eq!(app.count("users").await, 0);
}

#[tokio::test]
async fn an_address_is_one_address_or_refused() {
    let app = TestApp::start(&[]).await;
    let huge = format!("{}@example.com", "a".repeat(10_000));
    for email in [
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\n@example.com",
        "\"ada lovelace\"@example.com",
        "a@example.com,b@example.com",
        "Ada <ada@example.com>",
        "ada@localhost",
        "ada@[127.0.0.1]",
        &huge,
    ] {
        let answer = app.register(&json!({"username": "ada", "email": email, "password": "correct horse"})).await;
        assert_eq!((answer.problem(422).as_str(), answer.pointers()), ("validation-failed", vec!["/email".to_owned()]));
        assert!(!answer.body.contains("eve@"), "the answer repeats the input: {answer:?}");
    }
    for (name, email) in [("one", "ada@b\u{fc}cher.example"), ("two", "\u{9b4f}@example.com")] {
        let answer = app.register(&json!({"username": name, "email": email, "password": "correct horse"})).await;
        assert_eq!(answer.status, 201, "{email}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_over_16_kib_is_refused() {
    let app = TestApp::start(&[]).await;
    let with_padding = |length: usize| {
        let body = somebody("ada").to_string();
        body.clone() + &" ".repeat(length - body.len())
    };
    let announced = app.post("application/json", with_padding(16 * 1024 + 1)).await;
    assert_eq!(announced.problem(413), "body-too-large");
    assert_eq!(app.post("application/json", with_padding(16 * 1024)).await.status, 201, "exactly 16 KiB are fine");
}

#[tokio::test]
async fn another_type_of_body_is_refused() {
    let app = TestApp::start(&[]).await;
    let body = somebody("ada").to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        assert_eq!(app.post(content_type, body.clone()).await.problem(415), "unsupported-media-type", "{content_type}");
    }
    let none = Answer::read(app.client.post(app.url("/v1/users")).body(body.clone())).await;
    assert_eq!(none.problem(415), "unsupported-media-type");
    let request = app.client.post(app.url("/v1/users")).header("content-type", "application/json");
    let packed = Answer::read(request.header("content-encoding", "gzip").body(body)).await;
    assert_eq!(packed.problem(415), "unsupported-media-type");
}

#[tokio::test]
async fn another_method_or_path_is_refused_as_a_problem_too() {
    let app = TestApp::start(&[]).await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = Answer::read(app.client.request(method.clone(), app.url("/v1/users"))).await;
        assert_eq!(answer.problem(405), "method-not-allowed", "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let docs = Answer::read(app.client.post(app.url("/openapi.json"))).await;
    assert_eq!((docs.problem(405).as_str(), docs.header("allow")), ("method-not-allowed", Some("GET,HEAD")));
    for path in ["/", "/v1", "/v1/users/", "/v1/users/1", "/docs/nothing.js", "/problems/nothing", "/livez"] {
        assert_eq!(app.get(path).await.problem(404), "not-found", "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_careful_headers() {
    let app = TestApp::start(&[]).await;
    let given = |id: &'static str| Answer::read(app.client.get(app.url("/nowhere")).header("x-request-id", id));
    let mine = given("my-id_1.2").await;
    assert_eq!((mine.problem(404).as_str(), mine.header("x-request-id")), ("not-found", Some("my-id_1.2")));
    for bad in ["", "two words", "<script>"] {
        let answer = given(bad).await;
        answer.problem(404);
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "a new id instead of {bad:?}");
    }
    for answer in [app.register(&somebody("ada")).await, app.get("/nowhere").await, app.get("/openapi.json").await] {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}: {answer:?}");
        }
        assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    }
}
