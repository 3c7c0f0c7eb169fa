//! What is measured.

use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};

/// How a registration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 201.
    Created,
    /// 201 again, for the same idempotency key.
    Replayed,
    /// Name or address taken.
    Taken,
    /// Refused for what was in the request.
    Invalid,
    /// The key stands for another request.
    KeyReused,
    /// Too many passwords wait to be hashed.
    Overloaded,
    /// The database did not answer.
    DatabaseUnavailable,
    /// A fault of our own.
    Failed,
}

impl Outcome {
    /// A stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replayed => "replayed",
            Self::Taken => "taken",
            Self::Invalid => "invalid",
            Self::KeyReused => "key_reused",
            Self::Overloaded => "overloaded",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::Failed => "failed",
        }
    }
}

/// The instruments. Clones are the same instruments; without an exporter they do nothing.
#[derive(Debug, Clone)]
pub struct Metrics {
    registrations: Counter<u64>,
    hashing_wait: Histogram<f64>,
}

impl Metrics {
    /// After telemetry has been set up: instruments made before stay silent.
    pub fn new() -> Self {
        let meter = global::meter("user-api");
        Self {
            registrations: meter
                .u64_counter("sluice.registrations")
                .with_description("Registrations by outcome.")
                .with_unit("{registration}")
                .build(),
            hashing_wait: meter
                .f64_histogram("sluice.hashing.wait")
                .with_description("How long passwords waited to be hashed.")
                .with_unit("s")
                .build(),
        }
    }

    /// One registration ended like this.
    pub fn registration(&self, outcome: Outcome) {
        self.registrations.add(1, &[KeyValue::new("outcome", outcome.name())]);
    }

    /// A password waited so long for its turn.
    pub fn hashing_wait(&self, wait: Duration) {
        self.hashing_wait.record(wait.as_secs_f64(), &[]);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
