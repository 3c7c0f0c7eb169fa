//! A collector that takes connections and never answers: nobody waits for it for long.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use platform::telemetry::{self, LogArgs};

#[tokio::test]
async fn a_shutdown_gives_up_on_a_collector_that_hangs() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let var = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone().into());
    let log = LogArgs::given(var).unwrap();
    let telemetry = telemetry::init("demo", &log).unwrap();
    tracing::info_span!("work").in_scope(|| tracing::info!("hello"));
    opentelemetry::global::meter("demo").u64_counter("things").build().add(1, &[]);

    let since = Instant::now();
    telemetry.shutdown().await;
    let took = since.elapsed();
    assert!(took < Duration::from_secs(7), "the shutdown took {took:?}");
}
