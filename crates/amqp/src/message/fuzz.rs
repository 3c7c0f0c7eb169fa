//! Whatever a client put into the properties of a message: as the broker would send it, byte for byte.
#![allow(clippy::unwrap_used)]

use lapin::protocol::basic::parse_properties;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use testkit::fuzz::Target;

use super::*;

#[test]
fn fuzz_properties() {
    let words: [&[u8]; 12] = [
        b"\x09x-attempt",
        b"\x0btraceparent",
        b"\x0atracestate",
        b"\x07x-death",
        b"\x10x-delivery-count",
        b"l\xff\xff\xff\xff\xff\xff\xff\xff",
        b"l\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"T\xff\xff\xff\xff\xff\xff\xff\xff",
        b"S\x00\x00\x00\x02\xff\xfe",
        b"S\x00\x00\x00\x3700-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"F\x00\x00\x00\x00",
        b"V",
    ];
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let floors = [("read", 43), ("traced", 4)];
    Target { name: "properties", words: &words, runs: 8_000, longest: 4_096, floors: &floors }.fuzz(|input| {
        // What is no frame ends the connection, not in our hands.
        let Ok((_, parsed)) = parse_properties(input) else { return "no frame" };
        let read = Properties::from_lapin(&parsed);
        // In words, since a number that is none does not equal itself.
        let copied = Properties::from_lapin(&read.to_lapin());
        assert_eq!(format!("{copied:?}"), format!("{read:?}"), "a copy differs from what came");
        for (name, value) in read.headers.0.inner() {
            header(&read.headers, name.as_str(), value);
        }
        let copy = read.headers.clone().without_broker_counts();
        assert_eq!((copy.get_u64("x-delivery-count"), copy.get_str("x-death")), (None, None));
        assert_eq!(copy.get_u64("x-attempt"), read.headers.get_u64("x-attempt"));
        if trace(&read.headers) { "traced" } else { "read" }
    });
}

fn header(headers: &Headers, name: &str, value: &AMQPValue) {
    let (text, number) = (headers.get_str(name).map(str::to_owned), headers.get_u64(name));
    assert!(text.is_none() || number.is_none(), "{value:?} is a text and a number");
    // Every number of the protocol, by its own words.
    let said = format!("{value:?}");
    let digits = said.split_once('(').map(|(_, rest)| rest.trim_end_matches(')'));
    let integer = !matches!(value, AMQPValue::Float(_) | AMQPValue::Double(_) | AMQPValue::DecimalValue(_));
    let expected = digits.filter(|_| integer).and_then(|digits| digits.parse::<u64>().ok());
    assert_eq!(number, expected, "{said}");

    let mut changed = headers.clone();
    changed.remove(name);
    assert_eq!((changed.get_str(name), changed.get_u64(name)), (None, None), "{name:?} was removed");
    assert_eq!(changed.keys().len() + 1, headers.keys().len(), "and nothing else");
    if let Some(number) = number {
        changed.set_u64(name, number);
        assert_eq!(changed.get_u64(name), Some(number.min(i64::MAX.unsigned_abs())), "{name:?} reads back");
    }
    if let Some(text) = text {
        changed.set_str(name, &text);
        assert_eq!(changed.get_str(name), Some(text.as_str()), "{name:?} reads back");
    }
}

/// A context is what the header says, or there is none. Whether there is one.
fn trace(headers: &Headers) -> bool {
    let context = headers.extract_context();
    let (said, span) = (headers.get_str("traceparent"), context.span().span_context().clone());
    if span.is_valid() {
        // The library takes ids that are too short for numbers.
        let said: Vec<_> = said.unwrap().split('-').collect();
        let number = |text: &str| u128::from_str_radix(text, 16);
        assert_eq!(number(said[1]), number(&span.trace_id().to_string()), "{said:?}");
        assert_eq!(number(said[2]), number(&span.span_id().to_string()), "{said:?}");
        let mut sent = Headers::default();
        sent.inject_context(&context);
        let again = sent.extract_context();
        assert_eq!(again.span().span_context(), &span, "the context does not survive the next queue");
    }
    span.is_valid()
}
