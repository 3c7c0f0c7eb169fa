//! How a log line looks: flat JSON for machines, something coloured for eyes.

use std::error::Error;
use std::fmt::{self, Write as _};

use opentelemetry::trace::TraceContextExt as _;
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::words::words;

/// Keys that every line may have; a field of that name gets an underscore.
const RESERVED: [&str; 6] = ["timestamp", "level", "target", "message", "trace_id", "span_id"];

/// One event, one line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) pretty: bool,
    pub(super) colours: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let ids = opentelemetry::Context::map_current(|cx| {
            let span = cx.span();
            let cx = span.span_context();
            cx.is_valid().then(|| (cx.trace_id(), cx.span_id()))
        });
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        let meta = event.metadata();
        if self.pretty {
            let mut fields = PrettyFields::default();
            event.record(&mut fields);
            let (bold, dim, plain) = if self.colours { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
            let level = if self.colours { colour(*meta.level()) } else { "" };
            // The time of day is enough for whoever sits in front of it.
            let time = now.split('T').nth(1).and_then(|time| time.get(..12)).unwrap_or(&now);
            write!(out, "{dim}{time}{plain} {level}{:>5}{plain} {dim}{}{plain} ", meta.level(), meta.target())?;
            let message = if fields.message.is_empty() { meta.name() } else { &fields.message };
            write!(out, "{bold}{message}{plain}{}", fields.rest)?;
            if let Some((trace, span)) = ids {
                write!(out, " {dim}trace_id={trace} span_id={span}{plain}")?;
            }
        } else {
            let mut fields = JsonFields::default();
            event.record(&mut fields);
            let mut line = Vec::with_capacity(256);
            line.extend_from_slice(b"{\"timestamp\":");
            value(&mut line, &now);
            pair(&mut line, "level", meta.level().as_str());
            pair(&mut line, "target", meta.target());
            // The exporters' own events have a name only.
            pair(&mut line, "message", if fields.message.is_empty() { meta.name() } else { &fields.message });
            if let Some((trace, span)) = ids {
                pair(&mut line, "trace_id", &trace.to_string());
                pair(&mut line, "span_id", &span.to_string());
            }
            line.extend_from_slice(&fields.rest);
            line.push(b'}');
            out.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)?;
        }
        out.write_char('\n')
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

/// Everything but the message, as `,"name":value`, ready to be appended.
#[derive(Default)]
struct JsonFields {
    message: String,
    rest: Vec<u8>,
}

impl JsonFields {
    fn put(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let name = field.name();
        if RESERVED.contains(&name) {
            pair(&mut self.rest, &format!("{name}_"), value);
        } else {
            pair(&mut self.rest, name, value);
        }
    }
}

impl Visit for JsonFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { value.clone_into(&mut self.message) } else { self.put(field, value) }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, &causes(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }
}

#[derive(Default)]
struct PrettyFields {
    message: String,
    rest: String,
}

impl Visit for PrettyFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            let _ = write!(self.rest, " {}={value:?}", field.name());
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            let _ = write!(self.rest, " {}={value:?}", field.name());
        }
    }
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let _ = write!(self.rest, " {}={:?}", field.name(), causes(value));
    }
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = words(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = words(error);
        if !text.ends_with(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}

fn pair(out: &mut Vec<u8>, key: &str, content: &(impl Serialize + ?Sized)) {
    out.push(b',');
    value(out, key);
    out.push(b':');
    value(out, content);
}

fn value(out: &mut Vec<u8>, content: &(impl Serialize + ?Sized)) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, content).is_err() {
        // Half a value would break the line; text and numbers cannot fail.
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}
