//! The documentation that the service brings along.

use mail_api::{error, openapi};
use serde_json::Value;

use crate::support::{Answer, TestApi};

#[test]
fn the_committed_document_is_what_the_types_say() {
    let generated = openapi::generate().unwrap();
    assert!(
        generated == openapi::COMMITTED,
        "services/mail-api/openapi.json is out of date: `cargo run -p mail-api -- openapi > services/mail-api/openapi.json`"
    );
}

#[test]
fn every_error_answer_is_described_on_every_route_that_has_it() {
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, others) in [("/v1/mails", &[][..]), ("/v1/mails/batch", &["type-not-allowed", "recipient-limited"])] {
        let responses = &document["paths"][path]["post"]["responses"];
        for kind in error::all().filter(|kind| !others.contains(&kind.slug())) {
            let response = &responses[kind.status().as_str()];
            let text = response["description"].as_str().unwrap_or_else(|| panic!("{path}: no {}", kind.status()));
            assert!(text.contains(&format!("`{}`", kind.slug())), "{path}: {} is not mentioned", kind.slug());
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{path} {}", kind.status());
        }
        assert_eq!(document["paths"][path]["post"]["security"], serde_json::json!([{ "key": [] }]));
    }
    assert_eq!(document["components"]["securitySchemes"]["key"]["scheme"], "bearer");
}

#[tokio::test]
async fn mails_made_of_the_examples_are_taken_alone_and_together() {
    let api = TestApi::start(&[]).await;
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    let schema = &document["components"]["schemas"]["Mail"];
    assert_eq!(schema["additionalProperties"], false, "unknown fields are refused");
    assert_eq!(schema["required"], serde_json::json!(["type", "recipient"]));
    let examples =
        schema["properties"].as_object().unwrap().iter().filter(|(_, property)| !property["example"].is_null());
    let body: Value = examples
        .map(|(name, property)| (name.clone(), property["example"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_eq!(body.as_object().unwrap().len(), 6, "{body}");
    assert_eq!(api.send(&body).await.status, 202, "{body}");
    assert_eq!(api.batch(&[body]).await.status, 202);
}

#[tokio::test]
async fn document_page_and_problems_are_served_to_everybody() {
    let api = TestApi::start(&[]).await;
    assert_eq!(api.get("/openapi.json").await.body, openapi::COMMITTED);
    assert_eq!(api.get("/docs/").await.status, 200);
    for kind in error::all() {
        let page = api.get(&kind.uri()).await;
        assert!(page.status == 200 && page.body.contains(kind.advice()), "{page:?}");
    }
    let unknown = Answer::read(api.client.get(format!("http://{}/problems/none", api.addr))).await;
    assert_eq!(unknown.problem(404), "not-found");
}
