//! What the worker counts. Names follow the messaging conventions of OpenTelemetry where they have one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry::{KeyValue, global};

use crate::send::classify::Reason;
use crate::smtp::Stage;

/// The instruments of the delivery path.
#[derive(Debug, Clone)]
pub struct Metrics {
    finished: Finished,
    duplicates: Counter<u64>,
    process: Histogram<f64>,
    send: Histogram<f64>,
    delay: Histogram<f64>,
    refusals: Counter<u64>,
    unknown_outcomes: Counter<u64>,
    suppressions: Counter<u64>,
    refused: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    last_delay: Arc<Mutex<Option<(Duration, Instant)>>>,
}

/// Counts since the start, by what was counted and by reason where it has one: for reports to people.
pub type Tally = Vec<(&'static str, &'static str, u64)>;

impl Metrics {
    /// Instruments of the global meter provider: telemetry must have been started before.
    pub fn new() -> Self {
        let meter = global::meter("email-worker");
        let metrics = Self {
            finished: Finished::observed(&meter),
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
            refused: Arc::default(),
            last_delay: Arc::default(),
        };
        // Told as 0 from the start on, or nobody could see the first one as a rise.
        metrics.duplicates.add(0, &[]);
        metrics.unknown_outcomes.add(0, &[]);
        metrics.suppressions.add(0, &[]);
        metrics
    }

    /// A task was finished, `took` after it was delivered: its disposition, and why it was put aside if it was.
    pub fn finished(&self, disposition: &'static str, reason: Option<&'static str>, took: Duration) {
        self.process.record(took.as_secs_f64(), &attributes(disposition));
        self.finished.count(disposition, reason);
    }

    /// A task was delivered whose mail had been sent before.
    pub fn duplicate(&self) {
        self.duplicates.add(1, &[]);
    }

    /// The mail server answered, after `took`.
    pub fn sent(&self, accepted: bool, took: Duration) {
        self.send.record(took.as_secs_f64(), &[KeyValue::new("sluice.accepted", accepted)]);
    }

    /// A mail was not taken, for this reason; at no stage where no server was asked.
    pub fn refused(&self, reason: Reason, stage: Option<Stage>) {
        let stage = stage.map_or("none", Stage::slug);
        self.refusals.add(1, &[KeyValue::new("sluice.reason", reason.slug()), KeyValue::new("sluice.stage", stage)]);
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(reason.slug()).or_default() += 1;
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
        *self.last_delay.lock().unwrap_or_else(PoisonError::into_inner) = Some((delay, Instant::now()));
    }

    /// Tasks finished by disposition, and refusals.
    pub fn tally(&self) -> Tally {
        let tasks = self.finished.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = tasks.iter().map(|((kind, reason), count)| (*kind, reason.unwrap_or_default(), *count));
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = refused.iter().map(|(reason, count)| ("refused", *reason, *count));
        tasks.chain(refused).collect()
    }

    /// How old the task was of the mail that was accepted last, and how long ago that was.
    pub fn last_delay(&self) -> Option<(Duration, Duration)> {
        let last = *self.last_delay.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(delay, at)| (delay, at.elapsed()))
    }
}

/// Tasks by disposition, and by reason where they are put aside. Added up here and told when somebody asks: among the attributes of a
/// counter the right ones are looked for each time, which is a third of what all metrics of a mail cost.
#[derive(Debug, Clone, Default)]
struct Finished(Arc<Mutex<Tasks>>);

type Tasks = BTreeMap<(&'static str, Option<&'static str>), u64>;

impl Finished {
    fn observed(meter: &Meter) -> Self {
        let finished = Self::default();
        let tasks = finished.clone();
        meter
            .u64_observable_counter("messaging.client.consumed.messages")
            .with_unit("{message}")
            .with_description("Tasks finished, by disposition; those put aside for good by reason as well.")
            .with_callback(move |counter| {
                let tasks = tasks.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for ((disposition, reason), count) in tasks {
                    let reason = reason.map(|reason| KeyValue::new("sluice.reason", reason));
                    let all: Vec<KeyValue> = attributes(disposition).into_iter().chain(reason).collect();
                    counter.observe(count, &all);
                }
            })
            .build();
        finished
    }

    fn count(&self, disposition: &'static str, reason: Option<&'static str>) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *tasks.entry((disposition, reason)).or_default() += 1;
    }
}

fn attributes(disposition: &'static str) -> [KeyValue; 4] {
    [
        KeyValue::new("messaging.system", "rabbitmq"),
        KeyValue::new("messaging.destination.name", contract::queue::EMAIL),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("sluice.disposition", disposition),
    ]
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
