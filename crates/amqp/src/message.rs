//! Messages as plain data.

use contract::header;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::{Context, global};

/// AMQP's `delivery-mode` of a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;
/// Longest short string of the protocol, in bytes.
const SHORT: usize = 255;
/// A header of ours is shorter, in bytes.
const LONGEST_OF_OURS: usize = LONGEST_CONTEXT + 64;
/// Longest part of a trace context that travels on, in bytes: as long as W3C asks for at least. A stranger's may be of any
/// length, and has to fit into a frame with all the rest.
const LONGEST_CONTEXT: usize = 512;

/// Stands in a message id for each byte that is no UTF-8: SUB, for which ASCII has it.
pub const UNREADABLE: char = '\u{1a}';

/// The properties of a message, as far as this system uses them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Properties {
    /// What the message is known by. Bytes that are no UTF-8 are [`UNREADABLE`]: ids that differ in those alone look alike.
    pub message_id: Option<String>,
    /// `type`: what the body is.
    pub kind: Option<String>,
    /// When the task was made, in Unix seconds.
    pub timestamp: Option<u64>,
    /// Who published it.
    pub app_id: Option<String>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// How the body is compressed, if it is.
    pub content_encoding: Option<String>,
    /// Which messages go first, by the queue's own rules: the higher number. Absent: as most.
    pub priority: Option<u8>,
    /// Everything else.
    pub headers: Headers,
}

/// A message to publish. It is always persistent, and must have a message id: returns are matched by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The queue, reached through the default exchange. Over a connection to another exchange: the routing key there.
    pub queue: String,
    /// The body.
    pub body: Vec<u8>,
    /// The properties.
    pub properties: Properties,
}

/// The headers of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers(FieldTable);

impl Headers {
    /// A text; absent if it has another type or is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        match self.0.inner().get(name)? {
            AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
            AMQPValue::ShortString(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// A number that is not negative, of any of the protocol's integer types; absent if it is anything else.
    pub fn get_u64(&self, name: &str) -> Option<u64> {
        match *self.0.inner().get(name)? {
            AMQPValue::ShortShortInt(n) => u64::try_from(n).ok(),
            AMQPValue::ShortShortUInt(n) => Some(n.into()),
            AMQPValue::ShortInt(n) => u64::try_from(n).ok(),
            AMQPValue::ShortUInt(n) => Some(n.into()),
            AMQPValue::LongInt(n) => u64::try_from(n).ok(),
            AMQPValue::LongUInt(n) => Some(n.into()),
            AMQPValue::LongLongInt(n) => u64::try_from(n).ok(),
            AMQPValue::Timestamp(n) => Some(n),
            _ => None,
        }
    }

    /// Sets a text. Names are ours and short.
    pub fn set_str(&mut self, name: &str, value: &str) {
        self.0.insert(short(name), AMQPValue::LongString(value.into()));
    }

    /// Sets a number, as the signed 64-bit integer that every client understands.
    pub fn set_u64(&mut self, name: &str, value: u64) {
        self.0.insert(short(name), AMQPValue::LongLongInt(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    /// Removes a header, if it is there.
    pub fn remove(&mut self, name: &str) {
        if self.0.contains_key(name) {
            let kept = self.0.inner().iter().filter(|(key, _)| key.as_str() != name);
            self.0 = kept
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<std::collections::BTreeMap<_, _>>()
                .into();
        }
    }

    /// Without what the broker counts about a message: for a copy, it would be about another one.
    #[must_use]
    pub fn without_broker_counts(self) -> Self {
        let counted = |name: &str| {
            name.starts_with("x-death")
                || name.starts_with("x-first-death")
                || name.starts_with("x-last-death")
                || matches!(name, "x-delivery-count" | "x-acquired-count")
        };
        if !self.0.inner().keys().any(|name| counted(name.as_str())) {
            return self;
        }
        let kept = self.0.inner().iter().filter(|(name, _)| !counted(name.as_str()));
        Self(
            kept.map(|(name, value)| (name.clone(), value.clone()))
                .collect::<std::collections::BTreeMap<_, _>>()
                .into(),
        )
    }

    /// Without those of strangers, where there is no room for all; says how many are missing.
    #[must_use]
    pub fn only_ours(self) -> Self {
        let ours = |name: &str, value: &AMQPValue| header::ALL.contains(&name) && size::value(value) <= LONGEST_OF_OURS;
        let kept = self.0.inner().iter().filter(|(name, value)| ours(name.as_str(), value));
        let kept: std::collections::BTreeMap<_, _> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        let missing = self.0.inner().len() - kept.len();
        let mut kept = Self(kept.into());
        if missing > 0 {
            let before = kept.get_u64(header::HEADERS_LEFT_OUT).unwrap_or(0);
            kept.set_u64(header::HEADERS_LEFT_OUT, before.saturating_add(missing as u64));
        }
        kept
    }

    /// The trace context that travels with the message (W3C).
    pub fn extract_context(&self) -> Context {
        global::get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), self))
    }

    /// Sends a trace context along with the message (W3C).
    pub fn inject_context(&mut self, context: &Context) {
        global::get_text_map_propagator(|propagator| propagator.inject_context(context, self));
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.get_str(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.inner().keys().map(ShortString::as_str).collect()
    }
}

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        if value.len() <= LONGEST_CONTEXT {
            self.set_str(key, &value);
        }
    }
}

impl Properties {
    pub(crate) fn from_lapin(properties: &BasicProperties) -> Self {
        let text = |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
        Self {
            message_id: text(properties.message_id()),
            kind: text(properties.kind()),
            timestamp: *properties.timestamp(),
            app_id: text(properties.app_id()),
            content_type: text(properties.content_type()),
            content_encoding: text(properties.content_encoding()),
            priority: *properties.priority(),
            headers: Headers(properties.headers().clone().unwrap_or_default()),
        }
    }

    pub(crate) fn to_lapin(&self) -> BasicProperties {
        let mut properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(self.headers.0.clone());
        if let Some(id) = &self.message_id {
            properties = properties.with_message_id(short(id));
        }
        if let Some(kind) = &self.kind {
            properties = properties.with_type(short(kind));
        }
        if let Some(timestamp) = self.timestamp {
            properties = properties.with_timestamp(timestamp);
        }
        if let Some(app_id) = &self.app_id {
            properties = properties.with_app_id(short(app_id));
        }
        if let Some(content_type) = &self.content_type {
            properties = properties.with_content_type(short(content_type));
        }
        if let Some(content_encoding) = &self.content_encoding {
            properties = properties.with_content_encoding(short(content_encoding));
        }
        if let Some(priority) = self.priority {
            properties = properties.with_priority(priority);
        }
        properties
    }
}

/// Whatever came off the wire fits; a longer text of ours is cut, at a character, rather than refused.
pub(crate) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(SHORT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::from(&text[..end])
}

mod size;

pub(crate) use size::content_header_frame;

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_whatever_integer_a_client_chose_and_nothing_else_is() {
        for (value, number) in [
            (AMQPValue::ShortShortInt(3), Some(3)),
            (AMQPValue::ShortShortUInt(3), Some(3)),
            (AMQPValue::ShortInt(3), Some(3)),
            (AMQPValue::ShortUInt(3), Some(3)),
            (AMQPValue::LongInt(3), Some(3)),
            (AMQPValue::LongUInt(3), Some(3)),
            (AMQPValue::LongLongInt(3), Some(3)),
            (AMQPValue::LongLongInt(-3), None),
            (AMQPValue::LongString("3".into()), None),
            (AMQPValue::Double(3.0), None),
            (AMQPValue::Void, None),
        ] {
            let mut table = FieldTable::default();
            table.insert("n".into(), value.clone());
            assert_eq!(Headers(table).get_u64("n"), number, "{value:?}");
        }
    }

    #[test]
    fn a_text_that_is_none_is_absent() {
        let mut table = FieldTable::default();
        table.insert("traceparent".into(), AMQPValue::LongString(vec![0xff, 0xfe].into()));
        table.insert("tracestate".into(), AMQPValue::LongInt(7));
        let headers = Headers(table);
        assert_eq!(headers.get_str("traceparent"), None);
        assert_eq!(headers.get_str("tracestate"), None);
    }

    #[test]
    fn a_copy_drops_what_the_broker_counted_and_keeps_the_rest() {
        let mut headers = Headers::default();
        for name in ["x-death", "x-delivery-count", "x-acquired-count", "x-first-death-queue", "x-last-death-reason"] {
            headers.set_u64(name, 1);
        }
        headers.set_u64("x-attempt", 2);
        headers.set_str("traceparent", "00-..");
        let copy = headers.without_broker_counts();
        assert_eq!(copy.keys(), ["traceparent", "x-attempt"]);
    }

    #[test]
    fn properties_survive_the_way_through_the_library() {
        let mut headers = Headers::default();
        headers.set_u64("x-attempt", 2);
        let properties = Properties {
            message_id: Some("id".into()),
            kind: Some("email.welcome".into()),
            timestamp: Some(1_700_000_000),
            app_id: Some("user-api".into()),
            content_type: Some("application/json".into()),
            content_encoding: Some("gzip".into()),
            priority: Some(5),
            headers,
        };
        let sent = properties.to_lapin();
        assert_eq!(*sent.delivery_mode(), Some(PERSISTENT));
        assert_eq!(Properties::from_lapin(&sent), properties);
    }

    #[test]
    fn a_trace_of_any_length_leaves_room_in_the_frame() {
        let mut headers = Headers::default();
        Injector::set(&mut headers, "tracestate", "a=1".to_owned());
        Injector::set(&mut headers, "traceparent", "x".repeat(20_000));
        assert_eq!(headers.keys(), ["tracestate"]);
    }

    #[test]
    fn without_strangers_headers_ours_are_left_and_what_is_missing_is_counted() {
        let mut headers = Headers::default();
        headers.set_str("theirs", "x");
        headers.set_str("x-dead-detail", &"x".repeat(20_000));
        headers.set_u64("x-attempt", 2);
        headers.set_u64("x-headers-left-out", 3);
        let kept = headers.only_ours();
        assert_eq!(kept.keys(), ["x-attempt", "x-headers-left-out"]);
        assert_eq!(kept.get_u64("x-headers-left-out"), Some(5));
    }

    #[test]
    fn a_text_too_long_for_the_protocol_is_cut_at_a_character() {
        assert_eq!(short(&"\u{e9}".repeat(200)).as_str().len(), 254);
    }
}
