#![allow(clippy::unwrap_used, clippy::expect_used)]

use lapin::BasicProperties;
use lapin::protocol::basic::parse_properties;
use lapin::types::AMQPValue;

use super::fields::MOST_VALUES;
use super::*;

const FRAME_MAX: u32 = 16 * 1024;
const CHANNEL: u16 = 7;

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(kind, CHANNEL, payload, &mut out);
    out
}

/// A content header before a body of this length, with these properties: flags, then what they say.
fn content_header(body: u64, properties: &[u8]) -> Vec<u8> {
    frame(CONTENT_HEADER, &[b"\0\x3c\0\0", &body.to_be_bytes()[..], properties].concat())
}

/// Properties with these headers, each a text, and nothing else.
fn with_headers(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut table = Vec::new();
    for (name, value) in entries {
        table.push(u8::try_from(name.len()).unwrap());
        table.extend_from_slice(name);
        table.push(b'S');
        table.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        table.extend_from_slice(value);
    }
    [b"\x20\0", &u32::try_from(table.len()).unwrap().to_be_bytes()[..], &table].concat()
}

fn sieved(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Sieve::new(FRAME_MAX).take(bytes, &mut out);
    out
}

/// Kind and payload of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(length) = frame_length(bytes) {
        assert_eq!(bytes[length - 1], END, "a frame ends with its mark");
        frames.push((bytes[0], bytes[HEAD..length - 1].to_vec()));
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "whole frames come out");
    frames
}

/// The length of the body and the properties, as the library reads them.
fn read(payload: &[u8]) -> (u64, BasicProperties) {
    assert!(payload.len() + HEAD + 1 + FOR_MOVES <= FRAME_MAX as usize, "{} bytes leave no room", payload.len());
    let (left, properties) = parse_properties(&payload[12..]).expect("the library reads it");
    assert!(left.is_empty(), "the library reads all of it");
    (content::body_length(payload).unwrap(), properties)
}

fn only(bytes: &[u8]) -> (u64, BasicProperties) {
    match frames(bytes).as_slice() {
        [(CONTENT_HEADER, payload)] => read(payload),
        other => panic!("not one content header: {other:?}"),
    }
}

fn number(properties: &BasicProperties, name: &str) -> Option<i64> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongLongInt(number) => Some(*number),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn ordinary_frames_pass_byte_for_byte_in_pieces_of_any_size() {
    let deliver = b"\0\x3c\0\x3c\x03tag\0\0\0\0\0\0\0\x01\0\0\x0bemail_queue";
    let stream = [
        frame(METHOD, deliver),
        content_header(5, &with_headers(&[(b"traceparent", b"00-0af7"), (b"x-mine", b"\xff\xfe")])),
        frame(CONTENT_BODY, b"hello"),
        HEARTBEAT.to_vec(),
        frame(METHOD, deliver),
        content_header(0, b"\0\0"),
    ]
    .concat();
    assert_eq!(sieved(&stream), stream);
    for size in 1..stream.len() {
        let (mut sieve, mut out) = (Sieve::new(FRAME_MAX), Vec::new());
        stream.chunks(size).for_each(|piece| sieve.take(piece, &mut out));
        let mut expected = frames(&stream);
        let mut came = frames(&out);
        // Those that say that something is under way.
        came.retain(|(kind, _)| *kind != HEARTBEAT[0]);
        expected.retain(|(kind, _)| *kind != HEARTBEAT[0]);
        assert_eq!(came, expected, "in pieces of {size} bytes");
    }
}

#[test]
fn headers_without_end_leave_ours_and_say_how_many_are_missing() {
    let names: Vec<String> = (0..300).map(|n| format!("x-foreign-{n:03}")).collect();
    let value = [b'v'; 200];
    let mut entries: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), &value[..])).collect();
    entries.push((b"x-attempt", b"2"));
    entries.push((b"x-dead-reason", b"gave-up"));
    let (body, properties) = only(&sieved(&content_header(17, &with_headers(&entries))));
    assert_eq!(body, 17);
    let headers = properties.headers().as_ref().unwrap().inner().clone();
    let foreign = headers.keys().filter(|name| name.as_str().starts_with("x-foreign")).count();
    assert!(foreign > 60, "as many as there is room for: {foreign}");
    assert!(headers.contains_key("x-attempt") && headers.contains_key("x-dead-reason"), "ours are kept");
    assert_eq!(number(&properties, "x-headers-left-out"), Some(300 - i64::try_from(foreign).unwrap()));
}

#[test]
fn what_was_left_out_of_a_copy_counts_on() {
    let value = vec![b'v'; 20_000];
    let said = b"\x12x-headers-left-out";
    let mut properties = with_headers(&[(b"big", &value)]);
    properties.extend_from_slice(said);
    properties.extend_from_slice(b"l\0\0\0\0\0\0\0\x05");
    let length = u32::try_from(properties.len() - 6).unwrap();
    properties[2..6].copy_from_slice(&length.to_be_bytes());
    let (_, properties) = only(&sieved(&content_header(0, &properties)));
    assert_eq!(number(&properties, "x-headers-left-out"), Some(6));
}

#[test]
fn a_header_of_our_name_and_of_strange_size_is_not_ours() {
    let value = vec![b'v'; 14_000];
    let entries: [(&[u8], &[u8]); 3] = [(b"x-dead-detail", &value), (b"mine", b"small"), (b"x-attempt", b"1")];
    let (_, properties) =
        only(&sieved(&content_header(0, &with_headers(&[entries[0], entries[0], entries[1], entries[2]]))));
    let headers = properties.headers().as_ref().unwrap().inner().clone();
    assert!(headers.contains_key("x-attempt"), "{:?}", headers.keys());
}

#[test]
fn texts_of_any_bytes_are_read_in_every_property_and_name() {
    for bit in (2..16).filter(|bit| ![13, 12, 11, 6].contains(bit)) {
        let flags = 1_u16 << bit;
        let (_, properties) =
            only(&sieved(&content_header(1, &[&flags.to_be_bytes()[..], b"\x04a\xff\xfeb"].concat())));
        let expected = if bit == 7 { r"a\u{1a}\u{1a}b" } else { "a??b" };
        assert!(format!("{properties:?}").contains(expected), "property {bit}: {properties:?}");
    }
    let (_, properties) = only(&sieved(&content_header(1, &with_headers(&[(b"\xff\xfe", b"\xff")]))));
    assert_eq!(
        properties.headers().as_ref().unwrap().inner().get("??"),
        Some(&AMQPValue::LongString(vec![0xff].into())),
        "only the name has to be a text"
    );
}

#[test]
fn what_cannot_be_taken_apart_is_left_out_and_said() {
    let unknown = [b"\x20\0\0\0\0\x08", &b"\x01aV\x01b\xf0\x01\x02"[..]].concat();
    let (_, properties) = only(&sieved(&content_header(1, &unknown)));
    assert!(properties.headers().as_ref().unwrap().contains_key("a"));
    assert_eq!(number(&properties, "x-headers-left-out"), Some(1));
    let broken = b"\x80\0\xffshort";
    let (body, properties) = only(&sieved(&content_header(3, broken)));
    assert_eq!((body, number(&properties, "x-headers-left-out")), (3, Some(1)));
}

#[test]
fn a_body_too_long_for_any_task_is_cut_and_the_next_one_is_whole() {
    let long = 3 * BODY + 5;
    let piece = vec![b'b'; 16_376];
    let mut stream = content_header(long, b"\0\0");
    let mut left = usize::try_from(long).unwrap();
    while left > 0 {
        let length = left.min(piece.len());
        stream.extend_from_slice(&frame(CONTENT_BODY, &piece[..length]));
        left -= length;
    }
    stream.extend_from_slice(&content_header(2, b"\0\0"));
    stream.extend_from_slice(&frame(CONTENT_BODY, b"ok"));
    let came = frames(&sieved(&stream));
    let (body, properties) = read(&came[0].1);
    assert_eq!((body, number(&properties, "x-body-cut-from")), (BODY, Some(i64::try_from(long).unwrap())));
    let bodies: usize = came[1..came.len() - 2].iter().map(|(_, payload)| payload.len()).sum();
    assert_eq!(bodies as u64, BODY);
    assert_eq!(came[came.len() - 1], (CONTENT_BODY, b"ok".to_vec()));
}

#[test]
fn while_a_body_is_left_out_the_library_hears_that_the_broker_lives() {
    let (mut sieve, mut out) = (Sieve::new(FRAME_MAX), Vec::new());
    sieve.take(&content_header(1 << 30, b"\0\0"), &mut out);
    sieve.take(&frame(CONTENT_BODY, &[0; 70_000]), &mut out);
    out.clear();
    sieve.take(&frame(CONTENT_BODY, &[0; 70_000]), &mut out);
    assert_eq!(out, HEARTBEAT);
    out.clear();
    sieve.take(&[], &mut out);
    assert_eq!(out, [0; 0], "the end of the stream is no sign of life");
}

#[test]
fn a_header_too_long_to_hold_is_left_out_and_what_follows_is_read() {
    let value = vec![b'v'; 3 * HELD];
    let stream = [content_header(2, &with_headers(&[(b"big", &value)])), frame(CONTENT_BODY, b"ok")].concat();
    for size in [1_000, 16 * 1024, stream.len()] {
        let (mut sieve, mut out) = (Sieve::new(FRAME_MAX), Vec::new());
        stream.chunks(size).for_each(|piece| sieve.take(piece, &mut out));
        let mut came = frames(&out);
        came.retain(|(kind, _)| *kind != HEARTBEAT[0]);
        assert_eq!(read(&came[0].1).0, 2, "in pieces of {size} bytes");
        assert_eq!(came[1..], [(CONTENT_BODY, b"ok".to_vec())], "in pieces of {size} bytes");
    }
}

#[test]
fn a_broker_with_smaller_frames_is_fitted_to() {
    let (mut sieve, mut out) = (Sieve::new(FRAME_MAX), Vec::new());
    sieve.take(&frame(METHOD, b"\0\x0a\0\x1e\x07\xff\0\0\x20\0\0\x3c"), &mut out);
    out.clear();
    sieve.take(&content_header(0, &with_headers(&[(b"big", &[0; 7_000]), (b"small", b"1")])), &mut out);
    assert!(out.len() + FOR_MOVES <= 8_192, "{} bytes", out.len());
    let headers = only(&out).1.headers().clone().unwrap();
    assert!(headers.contains_key("small") && !headers.contains_key("big"), "{headers:?}");
}

#[test]
fn fuzz_content_headers() {
    let words: [&[u8]; 14] = [
        b"\x20\0",
        b"\xff\xfc",
        b"\x09x-attempt",
        b"\x12x-headers-left-out",
        b"\x0fx-body-cut-from",
        b"\x10x-delivery-count",
        b"l\0\0\0\0\0\0\0\x01",
        b"S\x00\x00\x00\x02\xff\xfe",
        b"A\0\0\0\x05A\0\0\0\0",
        b"F\0\0\0\x03\x01aV",
        b"x\0\0\0\x01\0",
        b"D\x02\0\0\0\x01",
        b"V",
        b"\0\0\0\0\0\x02\0\0",
    ];
    let floors = [("as it came", 4), ("mended", 190), ("cut", 110)];
    let target =
        testkit::fuzz::Target { name: "content-headers", words: &words, runs: 8_000, longest: 40_000, floors: &floors };
    // Eight bytes say how long the body is, the rest are the properties.
    target.fuzz(|input| {
        let Some((body, properties)) = input.split_first_chunk::<8>() else { return "no header" };
        let body = u64::from_be_bytes(*body);
        let out = sieved(&content_header(body, properties));
        let (length, read) = only(&out);
        assert_eq!(length, body.min(BODY), "the body is cut where it is too long");
        assert!(sieved(&out) == out, "what fits stays as it is");
        if body > BODY {
            assert!(read.headers().as_ref().unwrap().contains_key("x-body-cut-from"));
            return "cut";
        }
        let as_it_came = out == content_header(body, properties);
        let stays = plain(properties) && properties.len() < MOST_VALUES;
        assert!(as_it_came || !stays, "what can be read and fits is as it came");
        if as_it_came { "as it came" } else { "mended" }
    });
}

/// Whether the library can read them, and nothing lies deep or is many.
fn plain(properties: &[u8]) -> bool {
    let Ok((left, read)) = parse_properties(properties) else { return false };
    let headers = read.headers().clone().unwrap_or_default();
    left.is_empty() && properties[1] & 3 == 0 && headers.inner().values().all(|value| depth(value) < 10)
}

fn depth(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::FieldArray(array) => array.as_slice().iter().map(depth).max().unwrap_or(0),
        AMQPValue::FieldTable(table) => table.inner().values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
