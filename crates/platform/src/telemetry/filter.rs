//! What is kept out of logs and traces.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::{Context, Filter};

/// How often one and the same error of an exporter is logged.
const PAUSE: Duration = Duration::from_secs(60);

/// The exporters and what they stand on.
fn of_exporter(target: &str) -> bool {
    ["opentelemetry", "reqwest", "hyper"].iter().any(|name| target.starts_with(name))
}

/// Everything but what the exporters say of themselves.
pub(super) fn not_of_exporters() -> FilterFn {
    filter_fn(|meta| !of_exporter(meta.target()))
}

/// The spans that make up traces: from `info` on, whatever is logged. Events are log records, not span events: the trace
/// id joins them, and nothing is stored twice.
pub(super) fn own_spans() -> FilterFn {
    let own: fn(&Metadata<'_>) -> bool =
        |meta| meta.is_span() && *meta.level() <= Level::INFO && !of_exporter(meta.target());
    filter_fn(own).with_max_level_hint(LevelFilter::INFO)
}

/// What is said, not what it is said in.
pub(super) fn events() -> FilterFn {
    let event: fn(&Metadata<'_>) -> bool = |meta| meta.is_event();
    // It says nothing about levels: without this hint it would undo that of the filter beside it.
    filter_fn(event).with_max_level_hint(LevelFilter::TRACE)
}

/// Lets everything through until it is closed: nothing is said to exporters that are being shut down. Clones are one gate.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    closed: Arc<AtomicBool>,
}

impl Gate {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl<S: Subscriber> Filter<S> for Gate {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn event_enabled(&self, _: &Event<'_>, _: &Context<'_, S>) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// Lets each error of an exporter through once a minute: a collector that is away must not fill the log.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Mutex<HashMap<&'static str, Instant>>,
}

impl<S: Subscriber> Filter<S> for Throttle {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let meta = event.metadata();
        if !meta.target().starts_with("opentelemetry") {
            return true;
        }
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.get(meta.name()) {
            Some(at) if now.duration_since(*at) < PAUSE => false,
            _ => {
                last.insert(meta.name(), now);
                true
            }
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}
