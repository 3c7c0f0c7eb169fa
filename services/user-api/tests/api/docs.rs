//! The documentation that the service brings along.

use serde_json::Value;
use user_api::{error, openapi};

use crate::support::TestApp;

#[test]
fn the_committed_document_is_what_the_types_say() {
    let generated = openapi::generate().unwrap();
    assert!(
        generated == openapi::COMMITTED,
        "services/user-api/openapi.json is out of date: `cargo run -p user-api -- openapi > services/user-api/openapi.json`"
    );
}

#[test]
fn every_error_answer_is_described() {
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let responses = &document["paths"]["/v1/users"]["post"]["responses"];
    for kind in error::all() {
        let response = &responses[kind.status().as_str()];
        let text = response["description"].as_str().unwrap_or_else(|| panic!("no {} in the document", kind.status()));
        assert!(
            text.contains(&format!("`{}`", kind.slug())),
            "{} is not mentioned under {}",
            kind.slug(),
            kind.status()
        );
        let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Problem", "{}", kind.status());
    }
    let described = responses.as_object().unwrap().keys().filter(|status| status.as_str() >= "400").count();
    let existing: std::collections::BTreeSet<_> = error::all().map(|kind| kind.status()).collect();
    assert_eq!(described, existing.len(), "an answer is described that does not exist");
}

#[tokio::test]
async fn a_registration_made_of_the_examples_is_taken() {
    let app = TestApp::start(&[]).await;
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    let schema = &document["components"]["schemas"]["Registration"];
    assert_eq!(schema["additionalProperties"], false, "unknown fields are refused");
    assert_eq!(schema["required"], serde_json::json!(["username", "email", "password"]));
    let examples = schema["properties"].as_object().unwrap().iter();
    let body = examples.map(|(name, property)| (name.clone(), property["example"].clone())).collect();
    let answer = app.register(&Value::Object(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn a_header_can_be_left_out_and_is_never_null() {
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    let parameters = document["paths"]["/v1/users"]["post"]["parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), 3);
    for parameter in parameters {
        assert_eq!(
            (&parameter["required"], &parameter["schema"]["type"]),
            (&false.into(), &"string".into()),
            "{parameter}"
        );
    }
}

#[tokio::test]
async fn the_document_is_served_as_committed() {
    let app = TestApp::start(&[]).await;
    let answer = app.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.body, openapi::COMMITTED);
}

#[tokio::test]
async fn swagger_ui_works_from_this_service_alone() {
    let app = TestApp::start(&[]).await;
    let page = app.get("/docs").await;
    assert_eq!(page.status, 200, "after a redirect: {page:?}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"), "{policy}");
    let script = page.body.contains("<script>") || page.body.contains("onload=");
    assert!(!script, "the policy forbids scripts within the page: {}", page.body);
    let sources = page.body.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let sources: Vec<_> = sources.map(|source| source.trim_start_matches("./").to_owned()).collect();
    assert!(sources.len() >= 3, "{}", page.body);
    for source in sources {
        assert!(!source.contains("//"), "{source} comes from elsewhere");
        let file = app.get(&format!("/docs/{source}")).await;
        assert_eq!(file.status, 200, "{source}");
        let kind = if source.ends_with(".css") { "text/css" } else { "text/javascript" };
        assert!(file.header("content-type").unwrap().starts_with(kind), "{source}: {:?}", file.headers);
    }
    let start = app.get("/docs/swagger-initializer.js").await.body;
    assert!(start.contains("/openapi.json") && !start.contains("petstore"), "{start}");
}

#[tokio::test]
async fn the_type_of_every_problem_leads_to_an_explanation() {
    let app = TestApp::start(&[]).await;
    for kind in error::all() {
        let answer = app.get(&kind.uri()).await;
        assert_eq!(answer.status, 200, "{}", kind.uri());
        assert!(answer.body.contains(kind.title()) && answer.body.contains(kind.advice()), "{answer:?}");
    }
}
