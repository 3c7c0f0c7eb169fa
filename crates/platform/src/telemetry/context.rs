//! The trace context as text, for where it has to survive a database row or a queue.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The two W3C headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carrier {
    /// `traceparent`, 55 characters.
    pub traceparent: Option<String>,
    /// `tracestate`; absent where it is empty.
    pub tracestate: Option<String>,
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.traceparent = Some(value),
            "tracestate" if !value.is_empty() => self.tracestate = Some(value),
            _ => {}
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent.as_deref(),
            "tracestate" => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The context of the span that is entered here; empty outside of any.
pub fn current_traceparent() -> Carrier {
    let mut carrier = Carrier::default();
    TraceContextPropagator::new().inject(&mut carrier);
    carrier
}

/// The context to set as the parent of a span; empty where the carrier is empty or makes no sense.
pub fn parent_of(carrier: &Carrier) -> opentelemetry::Context {
    TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), carrier)
}
