//! Pages of other origins.

use axum::http::{HeaderMap, Method};

use crate::support::{TestApp, somebody};

const APP: &str = "https://app.example";

async fn preflight(app: &TestApp, origin: &str) -> (u16, HeaderMap) {
    let ask = app.client.request(Method::OPTIONS, app.url("/v1/users"));
    let headers = "content-type,idempotency-key";
    let ask = ask.header("origin", origin).header("access-control-request-method", "POST");
    let answer = ask.header("access-control-request-headers", headers).send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone())
}

fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let all = headers.get_all(name).iter().flat_map(|value| value.to_str().unwrap().split(','));
    all.map(|item| item.trim().to_lowercase()).collect()
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_when_they_are_named() {
    let closed = TestApp::start(&[]).await;
    let (status, headers) = preflight(&closed, APP).await;
    assert_eq!((status, headers.get("access-control-allow-origin")), (405, None));

    let app = TestApp::start(&[("CORS_ALLOWED_ORIGINS", "https://app.example, http://localhost:3000")]).await;
    let (status, headers) = preflight(&app, APP).await;
    assert_eq!((status, list(&headers, "access-control-allow-origin")), (200, vec![APP.to_owned()]));
    assert!(list(&headers, "access-control-allow-methods").contains(&"post".to_owned()), "{headers:?}");
    for name in ["content-type", "idempotency-key"] {
        assert!(list(&headers, "access-control-allow-headers").contains(&name.to_owned()), "{name}: {headers:?}");
    }
    assert!(
        headers.contains_key("access-control-max-age") && !headers.contains_key("access-control-allow-credentials")
    );
    assert!(list(&headers, "vary").contains(&"origin".to_owned()), "a cache keeps them apart: {headers:?}");
    let (_, headers) = preflight(&app, "https://evil.example").await;
    assert_eq!(headers.get("access-control-allow-origin"), None);
    assert_eq!(app.count("users").await, 0);
}

#[tokio::test]
async fn a_page_reads_answers_and_refusals_alike() {
    let app = TestApp::start(&[("CORS_ALLOWED_ORIGINS", APP), ("RATE_LIMIT", "1")]).await;
    for status in [201, 429] {
        let answer = app.register_with(&somebody("ada"), &[("origin", APP)]).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(APP)), "{answer:?}");
        let exposed = list(&answer.headers, "access-control-expose-headers");
        for name in ["retry-after", "x-request-id", "idempotency-replayed", "ratelimit"] {
            assert!(exposed.contains(&name.to_owned()), "{name}: {exposed:?}");
        }
    }
}
