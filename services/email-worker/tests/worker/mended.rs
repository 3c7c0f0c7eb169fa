//! Any bytes, made into properties of a message that a broker takes.
//!
//! A broker closes the connection on a length that does not fit, and then there is nothing for a worker to look at: of mutated bytes
//! it takes one in twelve. What is right already stays as it is.

/// Bits of the flags that say something else than what a worker reads: the message expires, somebody else is its user, more flags follow.
const LEFT_OUT: u16 = 0x0100 | 0x0010 | 0x0003;
/// Arrays and tables in each other; a deeper one is left out.
const DEEPEST: u32 = 60;

/// What each flag stands for, from the highest down.
#[derive(Clone, Copy)]
enum Property {
    Text,
    Table,
    Number(usize),
}

use Property::{Number, Table, Text};

const PROPERTIES: [Property; 14] =
    [Text, Text, Table, Number(1), Number(1), Text, Text, Text, Text, Number(8), Text, Text, Text, Text];

/// Flags and properties.
pub(crate) fn properties(bytes: &[u8]) -> Vec<u8> {
    let mut rest = Rest(bytes);
    let flags = u16::from_be_bytes([rest.byte(), rest.byte()]) & !LEFT_OUT;
    let mut out = flags.to_be_bytes().to_vec();
    for (_, property) in PROPERTIES.into_iter().enumerate().filter(|(n, _)| flags & (0x8000 >> n) != 0) {
        match property {
            Text => rest.short(&mut out),
            Table => long(rest.long(), |rest, out| entry(rest, 0, out), &mut out),
            Number(size) => rest.number(size, &mut out),
        }
    }
    out
}

/// A length, and as many parts as there are bytes for.
fn long(inner: &[u8], part: impl Fn(&mut Rest<'_>, &mut Vec<u8>), out: &mut Vec<u8>) {
    let (mut rest, mut parts) = (Rest(inner), Vec::new());
    while !rest.0.is_empty() {
        part(&mut rest, &mut parts);
    }
    out.extend(u32::try_from(parts.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(parts);
}

fn entry(rest: &mut Rest<'_>, depth: u32, out: &mut Vec<u8>) {
    rest.short(out);
    value(rest, depth, out);
}

fn value(rest: &mut Rest<'_>, depth: u32, out: &mut Vec<u8>) {
    let kind = rest.byte();
    let known = b"VtbBsuIifDldTSxFA".contains(&kind) && (depth < DEEPEST || !b"FA".contains(&kind));
    let kind = if known { kind } else { b'V' };
    out.push(kind);
    match kind {
        b't' | b'b' | b'B' => rest.number(1, out),
        b's' | b'u' => rest.number(2, out),
        b'I' | b'i' | b'f' => rest.number(4, out),
        b'D' => rest.number(5, out),
        b'l' | b'd' | b'T' => rest.number(8, out),
        b'S' | b'x' => long(rest.long(), |rest, out| out.push(rest.byte()), out),
        b'F' => long(rest.long(), |rest, out| entry(rest, depth + 1, out), out),
        b'A' => long(rest.long(), |rest, out| value(rest, depth + 1, out), out),
        _ => {}
    }
}

/// What was not read yet. Where it ends too early, zeros follow.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// So many, or as many as there are.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn number(&mut self, size: usize, out: &mut Vec<u8>) {
        let taken = self.take(size);
        out.extend(taken);
        out.resize(out.len() + size - taken.len(), 0);
    }

    fn short(&mut self, out: &mut Vec<u8>) {
        let length = usize::from(self.byte());
        let text = self.take(length);
        out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        out.extend(text);
    }

    /// What a length before it says it is.
    fn long(&mut self) -> &'a [u8] {
        let mut length = Vec::new();
        self.number(4, &mut length);
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.take(length)
    }
}

#[test]
fn what_is_right_stays_and_what_is_not_fits() {
    for (bytes, expected) in [
        (&b"\0\0"[..], &b"\0\0"[..]),
        (b"", b"\0\0"),
        (b"\x80\0\x02ab", b"\x80\0\x02ab"),
        (b"\x80\0\xffab", b"\x80\0\x02ab"),
        (b"\x81\x13\x02ab\x03cde", b"\x80\0\x02ab"),
        (b"\x00\x40\0\x01", b"\x00\x40\0\x01\0\0\0\0\0\0"),
        (b"\x20\0\0\0\0\x05\x01aS\0\0\0\xffrest", b"\x20\0\0\0\0\x07\x01aS\0\0\0\0"),
        (b"\x20\0\0\0\0\x06\x01aA\0\0\0", b"\x20\0\0\0\0\x07\x01aA\0\0\0\0"),
        (b"\x20\0\0\0\0\x0a\x01aA\0\0\0\x03t\x01?", b"\x20\0\0\0\0\x0a\x01aA\0\0\0\x03t\x01V"),
    ] {
        assert_eq!(properties(bytes), expected, "{}", bytes.escape_ascii());
    }
}
