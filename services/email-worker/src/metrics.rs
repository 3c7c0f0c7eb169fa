//! What the worker counts. Names follow the messaging conventions of OpenTelemetry where they have one.

use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};

use crate::delivery::outcome::Outcome;
use crate::send::classify::Reason;
use crate::smtp::Stage;

/// The instruments of the delivery path.
#[derive(Debug, Clone)]
pub struct Metrics {
    consumed: Counter<u64>,
    duplicates: Counter<u64>,
    process: Histogram<f64>,
    send: Histogram<f64>,
    delay: Histogram<f64>,
    refusals: Counter<u64>,
    unknown_outcomes: Counter<u64>,
    suppressions: Counter<u64>,
}

impl Metrics {
    /// Instruments of the global meter provider: telemetry must have been started before.
    pub fn new() -> Self {
        let meter = global::meter("email-worker");
        let metrics = Self {
            consumed: meter
                .u64_counter("messaging.client.consumed.messages")
                .with_unit("{message}")
                .with_description("Tasks finished, by disposition.")
                .build(),
            duplicates: meter
                .u64_counter("sluice.ledger.duplicates")
                .with_unit("{message}")
                .with_description("Tasks that the ledger knew as sent.")
                .build(),
            process: meter
                .f64_histogram("messaging.process.duration")
                .with_unit("s")
                .with_description("From the delivery of a task to its settlement.")
                .build(),
            send: meter
                .f64_histogram("sluice.mail.send.duration")
                .with_unit("s")
                .with_description("One conversation with the mail server, from MAIL to the answer after the dot.")
                .build(),
            delay: meter
                .f64_histogram("sluice.mail.delay")
                .with_unit("s")
                .with_description("From the registration to the mail server's acceptance.")
                .build(),
            refusals: meter
                .u64_counter("sluice.mail.refusals")
                .with_unit("{refusal}")
                .with_description("Mails that the mail server did not take at a try, by reason and stage.")
                .build(),
            unknown_outcomes: meter
                .u64_counter("sluice.mail.unknown_outcomes")
                .with_unit("{mail}")
                .with_description(
                    "Mails handed over to the last byte, without an answer that tells what became of them.",
                )
                .build(),
            suppressions: meter
                .u64_counter("sluice.suppressions")
                .with_unit("{address}")
                .with_description("Addresses that get no mails from now on, since the mail server does not know them.")
                .build(),
        };
        // Told as 0 from the start on, or nobody could see the first one as a rise.
        metrics.duplicates.add(0, &[]);
        metrics.unknown_outcomes.add(0, &[]);
        metrics.suppressions.add(0, &[]);
        metrics
    }

    /// A task was finished, `took` after it was delivered.
    pub fn finished(&self, outcome: &Outcome, took: Duration) {
        let attributes = [
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.destination.name", contract::queue::EMAIL),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("sluice.disposition", outcome.label()),
        ];
        self.consumed.add(1, &attributes);
        self.process.record(took.as_secs_f64(), &attributes);
        if matches!(outcome, Outcome::Duplicate) {
            self.duplicates.add(1, &[]);
        }
    }

    /// The mail server answered, after `took`.
    pub fn sent(&self, accepted: bool, took: Duration) {
        self.send.record(took.as_secs_f64(), &[KeyValue::new("sluice.accepted", accepted)]);
    }

    /// A mail was not taken, for this reason; at no stage where no server was asked.
    pub fn refused(&self, reason: Reason, stage: Option<Stage>) {
        let stage = stage.map_or("none", Stage::slug);
        self.refusals.add(1, &[KeyValue::new("sluice.reason", reason.slug()), KeyValue::new("sluice.stage", stage)]);
    }

    /// Nobody can know whether a mail was sent.
    pub fn unknown_outcome(&self) {
        self.unknown_outcomes.add(1, &[]);
    }

    /// So many addresses get no mails from now on.
    pub fn suppressed_from_now_on(&self, addresses: u64) {
        self.suppressions.add(addresses, &[]);
    }

    /// A mail was accepted `delay` after its task was made.
    pub fn accepted_after(&self, delay: Duration) {
        self.delay.record(delay.as_secs_f64(), &[]);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
