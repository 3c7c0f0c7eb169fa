//! The documentation that the console brings along.

use email_worker::console::openapi;
use serde_json::Value;

use super::VIEWER;
use crate::helpers::World;
use crate::helpers::http::ask;

#[test]
fn the_committed_document_is_what_the_types_say() {
    assert!(
        openapi::generate().unwrap() == openapi::COMMITTED,
        "services/email-worker/openapi.json is out of date: \
         `cargo run -p email-worker -- openapi > services/email-worker/openapi.json`"
    );
}

#[test]
fn every_kind_of_problem_is_described_where_it_is_met() {
    let document: Value = serde_json::from_str(openapi::COMMITTED).unwrap();
    for kind in openapi::kinds() {
        let status = kind.status().as_str().to_owned();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let described = operations.filter(|operation| {
            let text = &operation["responses"][&status]["description"];
            text.as_str().is_some_and(|text| text.contains(&format!("`{}`", kind.slug())))
        });
        assert_ne!(described.count(), 0, "{} is nowhere", kind.slug());
    }
}

#[tokio::test]
async fn every_path_of_the_document_is_served_for_tokens_alone_and_the_document_for_everybody() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    let served = ask(console.addr, "GET /openapi.json", &[], "").await;
    assert!(served.status == 200 && served.body == openapi::COMMITTED);
    let document: Value = served.json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let line = format!("{} {}", method.to_uppercase(), path.replace("{id}", "1"));
            assert_eq!(ask(console.addr, &line, &[], "").await.status, 401, "{line}");
            assert_eq!(operation["security"], serde_json::json!([{ "token": [] }]), "{line}");
            let answer = console.api(&line, VIEWER, "{}").await;
            let acts = operation["responses"].get("403").is_some();
            assert_eq!(answer.status == 403, acts, "{line}: {answer:?}");
            let known = answer.status != 404 || answer.json()["type"] == "/problems/not-found";
            assert!(known && answer.status != 405, "{line}: {answer:?}");
        }
    }
    for kind in openapi::kinds() {
        let page = ask(console.addr, &format!("GET {}", kind.uri()), &[], "").await;
        assert!(page.status == 200 && page.body.contains(kind.advice()), "{page:?}");
    }
}
