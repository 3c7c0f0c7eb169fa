//! What an exporter sends over OTLP is read back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use prost::Message as _;
use testkit::{Kind, OtlpReceiver};

fn pair(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

#[tokio::test]
async fn spans_keep_parents_links_and_attributes() {
    let receiver = OtlpReceiver::start().await;
    let parent =
        Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "send".to_owned(), kind: 4, ..Default::default() };
    let link = span::Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Default::default() };
    let child = Span {
        trace_id: vec![1; 16],
        span_id: vec![3; 8],
        parent_span_id: vec![2; 8],
        name: "process".to_owned(),
        kind: 5,
        links: vec![link],
        attributes: vec![pair("k", "v")],
        ..Default::default()
    };
    let spans = ScopeSpans { spans: vec![parent, child], ..Default::default() };
    let resource = Resource { attributes: vec![pair("service.name", "user-api")], ..Default::default() };
    let resource = ResourceSpans { resource: Some(resource), scope_spans: vec![spans], ..Default::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec();
    let post =
        || reqwest::Client::new().post(format!("{}/v1/traces", receiver.endpoint())).body(request.clone()).send();

    receiver.set_down(true);
    assert_eq!(post().await.unwrap().status(), 503);
    receiver.set_down(false);
    assert_eq!(post().await.unwrap().status(), 200);

    let spans = receiver.wait_for_spans(|spans| spans.len() == 2, Duration::from_secs(1)).await;
    let (send, process) = (&spans[0], &spans[1]);
    assert_eq!((send.kind, process.kind), (Kind::Producer, Kind::Consumer));
    assert!(process.is_child_of(send) && process.links_to(send), "{process}");
    assert_eq!(send.parent, None);
    assert_eq!(process.attributes["k"], "v");
    assert_eq!(process.service, "user-api");
}
