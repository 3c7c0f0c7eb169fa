//! What the relay counts.

use std::time::Duration;

use amqp::Outcome;
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};

use crate::kind::Names;

const OUTCOME: &str = "sluice.outcome";

/// The relay's instruments.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    destination: &'static str,
    relayed: Counter<u64>,
    sent: Counter<u64>,
    duration: Histogram<f64>,
}

impl Metrics {
    pub(crate) fn new(app: &'static str, names: &Names) -> Self {
        let meter = global::meter(app);
        let metrics = Self {
            destination: names.destination,
            relayed: meter
                .u64_counter(names.messages.0)
                .with_unit("{message}")
                .with_description(names.messages.1)
                .build(),
            sent: meter
                .u64_counter("messaging.client.sent.messages")
                .with_unit("{message}")
                .with_description("Messages that the relay tried to send.")
                .build(),
            duration: meter
                .f64_histogram("messaging.client.operation.duration")
                .with_unit("s")
                .with_description("From the publishing of a batch to its last confirm.")
                .build(),
        };
        // Told as 0 from the start on, or nobody could see the first time as a rise.
        for outcome in ["published", "nacked", "returned", "too-large", "unconfirmed"] {
            metrics.relayed.add(0, &[KeyValue::new(OUTCOME, outcome)]);
        }
        metrics
    }

    pub(crate) fn published(&self, outcomes: &[Outcome], took: Duration) {
        let count = |kind: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| kind(outcome)).count();
        self.count("published", None, count(|outcome| *outcome == Outcome::Confirmed));
        self.count("nacked", Some("nacked"), count(|outcome| *outcome == Outcome::Nacked));
        self.count("returned", Some("returned"), count(|outcome| matches!(outcome, Outcome::Returned(_))));
        self.count("too-large", Some("too-large"), count(|outcome| *outcome == Outcome::TooLarge));
        let unconfirmed = count(|outcome| matches!(outcome, Outcome::Unanswered(_)));
        self.count("unconfirmed", Some("unconfirmed"), unconfirmed);
        self.duration.record(took.as_secs_f64(), &self.attributes(None));
    }

    /// Nothing is known of these.
    pub(crate) fn failed(&self, tasks: usize, took: Duration) {
        self.count("unconfirmed", Some("unconfirmed"), tasks);
        self.duration.record(took.as_secs_f64(), &self.attributes(Some("unconfirmed")));
    }

    fn count(&self, outcome: &'static str, error: Option<&'static str>, tasks: usize) {
        if tasks > 0 {
            self.relayed.add(tasks as u64, &[KeyValue::new(OUTCOME, outcome)]);
            self.sent.add(tasks as u64, &self.attributes(error));
        }
    }

    fn attributes(&self, error: Option<&'static str>) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.destination.name", self.destination),
        ];
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        attributes
    }
}
