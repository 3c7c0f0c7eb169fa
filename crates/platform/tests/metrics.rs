//! What a Prometheus is told by a service as it stands, without any variable set.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use platform::admin::AdminServer;
use platform::health::Health;
use platform::telemetry::{self, LogArgs};
use reqwest::{Client, Method, StatusCode, header};
use tokio_util::sync::CancellationToken;

// One test: telemetry is set up once a process.
#[tokio::test]
async fn metrics_are_collected_when_they_are_asked_for_and_not_before() {
    let addr = "127.0.0.1:0".parse().unwrap();
    let before = AdminServer::bind(addr, Health::new()).await.unwrap();
    let log = LogArgs::given(|_: &str| None).unwrap();
    let telemetry = telemetry::init("demo", &log).unwrap();
    let server = AdminServer::bind(addr, Health::new()).await.unwrap();

    let collected = Arc::new(AtomicU32::new(0));
    let meter = opentelemetry::global::meter("demo");
    let counting = Arc::clone(&collected);
    let observe = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<u64>| {
        observer.observe(u64::from(counting.fetch_add(1, Ordering::Relaxed)) + 1, &[]);
    };
    let _gauge = meter.u64_observable_gauge("sluice.asked").with_callback(observe).build();
    meter.f64_histogram("sluice.delay").with_unit("s").build().record(7_000.0, &[]);

    let (url, without) = (format!("http://{}", server.addr()), format!("http://{}", before.addr()));
    let stop = CancellationToken::new();
    let served = [server, before].map(|server| tokio::spawn(server.run(stop.clone())));
    let client = Client::builder().no_proxy().build().unwrap();
    client.get(format!("{url}/livez")).send().await.unwrap();
    client.get(format!("{url}/readyz")).send().await.unwrap();
    let ask = async |method: Method, accept: &str| {
        let request = client.request(method, format!("{url}/metrics")).header(header::ACCEPT, accept);
        request.send().await.unwrap()
    };

    let refused = ask(Method::POST, "*/*").await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(collected.load(Ordering::Relaxed), 0, "nobody has asked");

    let answer = ask(Method::GET, "*/*").await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(
        (&answer.headers()[header::CACHE_CONTROL], &answer.headers()[header::VARY]),
        (&"no-store".parse().unwrap(), &"accept".parse().unwrap())
    );
    let text = answer.text().await.unwrap();
    assert!(text.contains("sluice_asked{service_name=\"demo\"} 1\n"), "{text}");
    assert!(text.contains("sluice_delay_seconds_bucket{service_name=\"demo\",le=\"14400\"} 1\n"), "{text}");

    let answer = ask(Method::GET, "application/openmetrics-text; version=1.0.0").await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().await.unwrap();
    assert!(text.contains("sluice_asked{service_name=\"demo\"} 2\n") && text.ends_with("\n# EOF\n"), "{text}");

    let answer = ask(Method::HEAD, "*/*").await;
    assert_eq!((answer.status(), answer.text().await.unwrap()), (StatusCode::OK, String::new()));

    let missing = client.get(format!("{without}/metrics")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND, "without telemetry there is nothing to tell");
    stop.cancel();
    for server in served {
        server.await.unwrap();
    }
    telemetry.shutdown().await;
}
