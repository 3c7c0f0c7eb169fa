//! What the worker tells about itself: spans that continue the trace, metrics, and nothing about any user.

use contract::{TaskId, header, queue};
use testkit::lapin::BasicProperties;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Kind, OtlpReceiver, Script, Service, Span, Stage};

use crate::helpers::{PATIENCE, World, registration};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SEND: &str = "b7ad6b7169203331";

/// The properties of a task that was published by the span [`SEND`].
fn traced(id: TaskId) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(header::TRACEPARENT.into(), AMQPValue::LongString(format!("00-{TRACE}-{SEND}-01").into()));
    headers.insert(header::TRACESTATE.into(), AMQPValue::LongString("vendor=1".into()));
    registration(id).with_headers(headers)
}

/// A worker that exports to the receiver, soon.
async fn exporting(world: &World, receiver: &OtlpReceiver) -> Service {
    let endpoint = receiver.endpoint();
    let worker = world.process(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ("LOG_LEVEL", "debug"),
    ]);
    worker.ready().await;
    worker
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn attribute<'s>(span: &'s Span, name: &str) -> Option<&'s str> {
    span.attributes.get(name).map(String::as_str)
}

#[tokio::test]
async fn each_attempt_is_a_child_of_the_send_span_and_linked_to_it_and_smtp_is_a_child_of_the_attempt() {
    let (world, receiver) = (World::new().await, OtlpReceiver::start().await);
    world.smtp.set_script(Script::healthy().greylisting(1));
    let worker = exporting(&world, &receiver).await;
    let id = TaskId::new();
    world.publish("ada@example.com", traced(id)).await;
    world.marked(1).await;
    let enough =
        |spans: &[Span]| named(spans, "process email_queue").len() == 2 && named(spans, "SMTP send").len() == 2;
    let spans = receiver.wait_for_spans(enough, PATIENCE).await;
    for (attempt, disposition, code) in [(0, "retried", "450"), (1, "sent", "250")] {
        let process = named(&spans, "process email_queue")[attempt];
        assert_eq!((process.kind, process.service.as_str()), (Kind::Consumer, "email-worker"));
        assert_eq!(
            (process.trace_id.as_str(), process.parent.as_deref()),
            (TRACE, Some(SEND)),
            "attempts are siblings"
        );
        let links: Vec<_> = process.links.iter().map(|link| (link.trace_id.as_str(), link.span_id.as_str())).collect();
        assert_eq!(links, [(TRACE, SEND)]);
        let id = id.to_string();
        for (name, value) in [
            ("messaging.system", "rabbitmq"),
            ("messaging.operation.name", "process"),
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", "email_queue"),
            ("messaging.message.id", id.as_str()),
            ("sluice.disposition", disposition),
        ] {
            assert_eq!(attribute(process, name), Some(value), "{name} of attempt {attempt}");
        }
        let smtp = named(&spans, "SMTP send")[attempt];
        assert!(smtp.is_child_of(process), "{smtp} is no child of {process}");
        assert_eq!(smtp.kind, Kind::Client);
        assert_eq!(attribute(smtp, "smtp.response.code"), Some(code));
        assert_eq!(attribute(smtp, "server.address"), Some("127.0.0.1"));
        assert_eq!(attribute(smtp, "server.port"), Some(world.smtp.addr().port().to_string().as_str()));
        assert_eq!(smtp.error.is_some(), attempt == 0, "the status of {smtp}");
        assert!(process.start <= smtp.start && smtp.end <= process.end);
    }
    assert!(worker.terminate().await.success());
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (world, receiver) = (World::new().await, OtlpReceiver::start().await);
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "550 5.1.1 no").for_recipient("gone@example.com"));
    let worker = exporting(&world, &receiver).await;
    let id = TaskId::new();
    world.publish("ada@example.com", registration(id)).await;
    world.marked(1).await;
    world.publish("ada@example.com", registration(id)).await;
    world.register("gone@example.com").await;
    world.dead_letter().await;
    let counted = |disposition: &'static str| {
        receiver.wait_for_metric(
            "messaging.client.consumed.messages",
            move |metric| {
                metric.points.iter().any(|point| {
                    point.attributes.get("sluice.disposition").map(String::as_str) == Some(disposition)
                        && point.value == 1.0
                })
            },
            PATIENCE,
        )
    };
    for disposition in ["sent", "duplicate", "dead"] {
        counted(disposition).await;
    }
    for name in [
        "sluice.ledger.duplicates",
        "messaging.process.duration",
        "sluice.mail.send.duration",
        "sluice.mail.delay",
        "sluice.circuit.open",
        "sluice.component.down",
    ] {
        receiver.wait_for_metric(name, |metric| !metric.points.is_empty(), PATIENCE).await;
    }
    assert!(worker.terminate().await.success());
}

#[tokio::test]
async fn no_word_about_a_user_is_in_any_line_span_or_metric() {
    let (world, receiver) = (World::new().await, OtlpReceiver::start().await);
    let script = Script::healthy()
        .reply(Stage::Rcpt, "550 5.1.1 <refused@private.example>: user refused unknown")
        .for_recipient("refused@private.example")
        .reply(Stage::Content, "451 4.7.1 mail for later@private.example (Subject: Welcome, Xanthippe): try again")
        .for_recipient("later@private.example")
        .times(1)
        .drop_at(Stage::Data)
        .for_recipient("dropped@private.example")
        .times(1);
    world.smtp.set_script(script);
    let worker = exporting(&world, &receiver).await;
    let body = |who: &str| {
        serde_json::json!({"email": format!("{who}@private.example"), "username": "Xanthippe"}).to_string().into_bytes()
    };
    for who in ["refused", "later", "dropped", "fine"] {
        world.client.publish(queue::EMAIL, &body(who), traced(TaskId::new())).await;
    }
    let foreign = BasicProperties::default().with_message_id("foreign@private.example".into());
    world.client.publish(queue::EMAIL, &body("foreign"), foreign).await;
    world.client.publish_bare(queue::EMAIL, &body("bare")).await;
    world
        .client
        .publish_bare(queue::EMAIL, br#"{"email":"broken@private.example\u0000","username":"Xanthippe"}"#)
        .await;
    world.marked(5).await;
    for _ in 0..2 {
        world.dead_letter().await;
    }
    world.smtp.stop_listening().await;
    world.client.publish(queue::EMAIL, &body("waiting"), traced(TaskId::new())).await;
    worker.wait_for_log("the mail server's outage lasts", PATIENCE).await;
    world.smtp.listen_again().await;
    world.marked(6).await;
    assert!(worker.terminate().await.success());

    let told: Vec<String> = worker
        .log_lines()
        .into_iter()
        .chain(receiver.spans().iter().map(|span| format!("{span:?}")))
        .chain(receiver.metrics().iter().map(|metric| format!("{metric:?}")))
        .chain(receiver.logs().iter().map(|log| format!("{log:?}")))
        .collect();
    assert!(told.len() > 40, "too little was told to say anything: {told:#?}");
    for secret in ["private.example", "Xanthippe", "guest:guest", "sluice@127"] {
        let telling: Vec<_> = told.iter().filter(|line| line.contains(secret)).collect();
        assert!(telling.is_empty(), "{secret:?} is told: {telling:#?}");
    }
}
