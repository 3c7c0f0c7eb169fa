//! One registration is one trace, over both services and whatever time lies between them.

use std::time::Duration;

use contract::queue;
use system::{Load, System};
use testkit::{Kind, Service, Span, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// The spans that a registration leaves when it became a mail.
struct Journey<'s> {
    request: &'s Span,
    send: &'s Span,
    process: &'s Span,
    smtp: &'s Span,
}

impl<'s> Journey<'s> {
    /// Follows each mail that was accepted back to its request. `None` while a span of one is missing.
    fn all(spans: &'s [Span], count: usize) -> Option<Vec<Self>> {
        let parent = |of: &Span| spans.iter().find(|span| of.is_child_of(span));
        let accepted = spans.iter().filter(|span| {
            span.name == "SMTP send" && span.attributes.get("smtp.response.code").is_some_and(|code| code == "250")
        });
        let journeys = accepted.map(|smtp| {
            let process = parent(smtp)?;
            let send = parent(process)?;
            Some(Self { request: parent(send)?, send, process, smtp })
        });
        let journeys: Vec<_> = journeys.collect::<Option<_>>()?;
        (journeys.len() == count).then_some(journeys)
    }

    fn check(&self) {
        let Self { request, send, process, smtp } = self;
        let told = |span: &Span| (span.service.clone(), span.name.clone(), span.kind);
        assert_eq!(told(request), ("user-api".to_owned(), "POST /v1/users".to_owned(), Kind::Server));
        assert_eq!(told(send), ("user-api".to_owned(), "send email_queue".to_owned(), Kind::Producer));
        assert_eq!(told(process), ("email-worker".to_owned(), "process email_queue".to_owned(), Kind::Consumer));
        assert_eq!(told(smtp), ("email-worker".to_owned(), "SMTP send".to_owned(), Kind::Client));
        assert!(process.links_to(send) && process.links.len() == 1, "{process} links to {send} alone: {process:?}");
        for span in [request, send, smtp] {
            assert!(span.links.is_empty(), "nothing but the consumer links: {span:?}");
        }
        for name in ["messaging.message.id", "messaging.destination.name"] {
            assert!(send.attributes.contains_key(name), "{send} names its {name}");
            assert_eq!(send.attributes.get(name), process.attributes.get(name), "{name} of {send} and {process}");
        }
    }
}

async fn journeys(system: &System, count: usize) {
    let spans = system.otlp.wait_for_spans(|spans| Journey::all(spans, count).is_some(), PATIENCE).await;
    let journeys = Journey::all(&spans, count).unwrap();
    let traces: std::collections::HashSet<_> = journeys.iter().map(|journey| &journey.request.trace_id).collect();
    assert_eq!(traces.len(), count, "each registration is a trace of its own");
    journeys.iter().for_each(Journey::check);
}

async fn register(api: &Service, name: &str) {
    let answers = Load::new(vec![api.base_url()], name).run(1, 1).await;
    assert_eq!(answers[0].status, Some(201), "{name} is registered");
}

/// Nothing that was told, in whatever way, may say who registered or how to get in.
fn tells_nothing_of_users(system: &System, services: &[&Service]) {
    let told: Vec<String> = services
        .iter()
        .flat_map(|service| service.log_lines())
        .chain(system.otlp.spans().iter().map(|span| format!("{span:?}")))
        .chain(system.otlp.metrics().iter().map(|metric| format!("{metric:?}")))
        .chain(system.otlp.logs().iter().map(|log| format!("{log:?}")))
        .collect();
    assert!(told.len() > 20, "too little was told to say anything: {told:#?}");
    // Load makes addresses, usernames and passwords of these; the last is the password of the broker.
    for secret in ["journey-", "@example.com", "a long enough one", "guest:guest"] {
        let telling: Vec<_> = told.iter().filter(|line| line.contains(secret)).collect();
        assert!(telling.is_empty(), "{secret:?} is told: {telling:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_spans_tell_of_a_registration_and_none_of_who_registered() {
    let system = System::start().await;
    let (api, worker) = (system.api(&[("HASH_COST", "cheap")]).await, system.worker(&[]));
    worker.ready().await;
    for n in 0..3 {
        register(&api, &format!("journey-{n}")).await;
    }
    system.smtp.wait_for_mails(3, PATIENCE).await;
    journeys(&system, 3).await;
    for service in [&api, &worker] {
        assert!(service.terminate().await.success(), "a service ends well");
    }
    tells_nothing_of_users(&system, &[&api, &worker]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_goes_on_across_a_restart_of_the_broker() {
    let system = System::start_with_own_broker().await;
    let api = system.api(&[("HASH_COST", "cheap")]).await;
    register(&api, "journey-before").await;
    eventually("the relay has published", PATIENCE, async || (system.queued(queue::EMAIL).await == 1).then_some(()))
        .await;
    system.rabbit.own().queues_written().await;
    system.rabbit.own().kill();
    register(&api, "journey-while-away").await;
    system.rabbit.own().restart().await;
    let worker = system.worker(&[]);
    worker.ready().await;
    register(&api, "journey-after").await;
    system.smtp.wait_for_mails(3, PATIENCE).await;
    journeys(&system, 3).await;
    for service in [&api, &worker] {
        assert!(service.terminate().await.success(), "a service ends well");
    }
    tells_nothing_of_users(&system, &[&api, &worker]);
}
