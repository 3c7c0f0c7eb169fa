#![allow(clippy::unwrap_used, clippy::expect_used)]

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::*;
use crate::telemetry::scrape::Scrape;

/// What is told of these measurements, by a process in a namespace with a name that needs quoting.
fn told(format: Format, measure: impl FnOnce(&Meter)) -> String {
    let (scrape, reader) = Scrape::new().unwrap();
    let attributes = [KeyValue::new("service.name", "demo"), KeyValue::new("k8s.namespace.name", "a\"b\\c\nd")];
    let resource =
        Resource::builder_empty().with_attributes(attributes).with_attribute(KeyValue::new("other", 1)).build();
    let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();
    measure(&provider.meter("demo"));
    scrape.text(format)
}

fn measure(meter: &Meter) {
    let things =
        meter.u64_counter("sluice.things").with_unit("{thing}").with_description("Things,\nby \"kind\".").build();
    things.add(2, &[KeyValue::new("sluice.kind", "small")]);
    things.add(1, &[KeyValue::new("sluice.kind", "large")]);
    meter.f64_gauge("sluice.rate").build().record(0.5, &[]);
    meter.f64_histogram("sluice.delay").with_unit("s").with_boundaries(vec![0.5, 10.0]).build().record(7.0, &[]);
}

/// What every series has.
const OWN: &str = r#"k8s_namespace_name="a\"b\\c\nd",service_name="demo""#;

#[test]
fn openmetrics_names_families_without_total_has_points_in_bounds_and_an_end() {
    let text = told(Format::OpenMetrics, measure);
    let expected = r#"# TYPE sluice_delay_seconds histogram
# HELP sluice_delay_seconds 
sluice_delay_seconds_bucket{OWN,le="0.5"} 0
sluice_delay_seconds_bucket{OWN,le="10.0"} 1
sluice_delay_seconds_bucket{OWN,le="+Inf"} 1
sluice_delay_seconds_sum{OWN} 7
sluice_delay_seconds_count{OWN} 1
# TYPE sluice_rate gauge
# HELP sluice_rate 
sluice_rate{OWN} 0.5
# TYPE sluice_things counter
# HELP sluice_things Things,\nby \"kind\".
sluice_things_total{KIND="large",OWN} 1
sluice_things_total{KIND="small",OWN} 2
# TYPE target info
# HELP target Target metadata
target_info{K8S,other="1",SERVICE} 1
# EOF
"#;
    assert_eq!(text, filled(expected));
}

#[test]
fn the_text_of_prometheus_names_samples_and_quotes_no_help() {
    let text = told(Format::Text, measure);
    for part in [
        "# TYPE sluice_things_total counter\n# HELP sluice_things_total Things,\\nby \"kind\".\n",
        &filled("sluice_delay_seconds_bucket{OWN,le=\"10\"} 1\n"),
        "# TYPE target_info gauge\n",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(!text.contains("EOF"), "{text}");
}

fn filled(text: &str) -> String {
    let (namespace, service) = OWN.rsplit_once(',').unwrap();
    text.replace("OWN", OWN).replace("KIND", "sluice_kind").replace("K8S", namespace).replace("SERVICE", service)
}

#[test]
fn openmetrics_is_for_whoever_would_rather_have_it() {
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let third = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.3";
    let table = [
        (None, Format::Text),
        (Some(""), Format::Text),
        (Some("*/*"), Format::Text),
        (Some("application/json"), Format::Text),
        (Some(prometheus), Format::OpenMetrics),
        (Some(third), Format::OpenMetrics),
        (Some("application/openmetrics-text"), Format::OpenMetrics),
        (Some("Application/OpenMetrics-Text; version=\"1.0.0\""), Format::OpenMetrics),
        (Some("application/openmetrics-text; version=0.0.1"), Format::Text),
        (Some("application/openmetrics-text; version=2.0.0, text/plain"), Format::Text),
        (Some("application/openmetrics-text; q=0"), Format::Text),
        (Some("application/openmetrics-text; q=x"), Format::Text),
        (Some("application/openmetrics-text;q=0.2, text/plain;q=0.8"), Format::Text),
    ];
    for (accept, format) in table {
        assert_eq!(Format::accepted(accept), format, "{accept:?}");
    }
}
