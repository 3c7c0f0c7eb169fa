//! An installation into an empty namespace.

use std::time::Duration;

use e2e::{Collector, RELEASE, Run, Sluice, check, pods, register, until};

pub(crate) async fn tests(run: &mut Run) {
    let sluice = Sluice::prepare(&run.cluster, "install", Collector::values()).await;
    let collector = Collector::start(&sluice).await;
    sluice.helm.install(RELEASE, &sluice.values).await.out();
    check!(run, every_pod_is_ready_with_no_restart(&sluice));
    check!(run, helm_test_passes(&sluice));
    check!(run, a_registration_becomes_a_mail_and_one_trace_follows_it(&sluice, &collector));
    sluice.remove().await;
}

async fn every_pod_is_ready_with_no_restart(sluice: &Sluice) {
    until("every pod is ready", Duration::from_secs(60), async || {
        let pods = pods::list(&sluice.pods, "").await;
        let unready: Vec<&str> = pods.iter().filter(|pod| !pods::is_ready(pod)).map(pods::name).collect();
        (!pods.is_empty() && unready.is_empty()).then_some(()).ok_or_else(|| format!("{unready:?}"))
    })
    .await;
    let restarts = |pod| (pods::name(pod).to_owned(), pods::restarts(pod));
    let restarts: Vec<_> = pods::list(&sluice.pods, "").await.iter().map(restarts).collect();
    assert!(restarts.iter().all(|(_, count)| *count == 0), "nothing has to start twice: {restarts:?}");
}

async fn helm_test_passes(sluice: &Sluice) {
    sluice.helm.test(RELEASE).await.out();
}

async fn a_registration_becomes_a_mail_and_one_trace_follows_it(sluice: &Sluice, collector: &Collector) {
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    register(sluice, "ada", &[("traceparent", &format!("00-{trace}-{caller}-01"))]).await;
    sluice.inbox().await.has_mail_to("ada@example.com", Duration::from_secs(30)).await;

    let spans = collector.has_spans(trace, 4, Duration::from_secs(30)).await;
    let mut parent = caller.to_owned();
    let way = [
        ("user-api", "POST /v1/users"),
        ("user-api", "send email_queue"),
        ("email-worker", "process email_queue"),
        ("email-worker", "SMTP send"),
    ];
    for (service, name) in way {
        let span = spans.iter().find(|span| span.name == name && span.service == service);
        let span = span.unwrap_or_else(|| panic!("the span {name} of {service}: {spans:?}"));
        assert_eq!(span.parent, parent, "{name} follows the step before it: {spans:?}");
        parent.clone_from(&span.id);
    }
    assert_eq!(spans.len(), 4, "{spans:?}");
}
