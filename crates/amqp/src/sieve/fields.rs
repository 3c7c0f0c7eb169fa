//! AMQP's strings and field tables, walked over and mended where they stand.

use std::ops::Range;

/// Tables and arrays are read so deep; the library recurses into them, and its stack has an end.
const DEEPEST: u8 = 16;
/// Values of a message that are taken apart, at all depths: each takes some hundred bytes of memory, and one byte on the wire.
pub(super) const MOST_VALUES: usize = 1_024;

/// Bytes that are read along. Whatever would lead past their end is `None`.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    bytes: &'a mut [u8],
    at: usize,
    /// Values that may still be taken apart.
    values: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0, values: MOST_VALUES }
    }

    /// Where it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// So many bytes.
    pub(super) fn skip(&mut self, length: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let range = self.at..end;
        self.at = end;
        Some(range)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        let at = self.skip(1)?;
        self.bytes[at].first().copied()
    }

    /// Bytes behind their length in four bytes.
    pub(super) fn long(&mut self) -> Option<Range<usize>> {
        let length = self.skip(4)?;
        let length = <[u8; 4]>::try_from(&self.bytes[length]).ok()?;
        self.skip(u32::from_be_bytes(length) as usize)
    }

    /// A short string. It is UTF-8 afterwards.
    pub(super) fn text(&mut self) -> Option<Range<usize>> {
        self.text_mended_by(b'?')
    }

    /// The same; it tells afterwards whether all of it could be read ([`UNREADABLE`](crate::UNREADABLE)).
    pub(super) fn id(&mut self) -> Option<Range<usize>> {
        self.text_mended_by(crate::UNREADABLE as u8)
    }

    fn text_mended_by(&mut self, substitute: u8) -> Option<Range<usize>> {
        let length = self.u8()?;
        let text = self.skip(length.into())?;
        mend(&mut self.bytes[text.clone()], substitute);
        Some(text)
    }

    /// A value behind its type. `None` too where the type is unknown: nobody can tell where it ends.
    pub(super) fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.nested_value(0)?;
        Some(start..self.at)
    }

    fn nested_value(&mut self, depth: u8) -> Option<()> {
        self.values = self.values.checked_sub(1)?;
        let kind_at = self.at;
        let kind = self.u8()?;
        let length = match kind {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' => return self.long().map(drop),
            b'A' | b'F' => {
                let inner = self.long()?;
                if depth == DEEPEST || self.inner(inner, kind == b'F', depth + 1).is_none() {
                    // Bytes have the same shape: what can't be taken apart is kept as it is.
                    self.bytes[kind_at] = b'x';
                }
                return Some(());
            }
            _ => return None,
        };
        self.skip(length).map(drop)
    }

    /// The entries of a table, or the elements of an array.
    fn inner(&mut self, range: Range<usize>, named: bool, depth: u8) -> Option<()> {
        let mut walk = Walk { bytes: &mut self.bytes[range], at: 0, values: self.values };
        let mut walked = Some(());
        while walked.is_some() && !walk.is_done() {
            walked = match named {
                true => walk.text().and_then(|_| walk.nested_value(depth)),
                false => walk.nested_value(depth),
            };
        }
        self.values = walk.values;
        walked
    }
}

/// Makes UTF-8 of it without moving anything.
fn mend(text: &mut [u8], substitute: u8) {
    let mut from = 0;
    while let Err(error) = std::str::from_utf8(&text[from..]) {
        let start = from + error.valid_up_to();
        let end = error.error_len().map_or(text.len(), |length| start + length);
        text[start..end].fill(substitute);
        from = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_utf8_at_its_old_length() {
        for (came, expected) in [
            (&b"plain"[..], "plain"),
            ("\u{6b22}".as_bytes(), "\u{6b22}"),
            (b"a\xff\xfeb", "a??b"),
            (b"\xe6\xac", "??"),
            (b"\xe6\xac\xe6\xac\xa2", "??\u{6b22}"),
            (b"", ""),
        ] {
            let mut text = came.to_vec();
            mend(&mut text, b'?');
            assert_eq!(String::from_utf8(text).as_deref(), Ok(expected), "{came:?}");
        }
    }

    fn walked(value: &[u8]) -> (Option<usize>, Vec<u8>) {
        let mut bytes = value.to_vec();
        let end = Walk::new(&mut bytes).value().map(|range| range.end);
        (end, bytes)
    }

    #[test]
    fn every_type_ends_where_it_ends() {
        let table: [&[u8]; 18] = [
            b"V",
            b"t\x01",
            b"b\x01",
            b"B\x01",
            b"s\0\x01",
            b"U\0\x01",
            b"u\0\x01",
            b"I\0\0\0\x01",
            b"i\0\0\0\x01",
            b"f\0\0\0\x01",
            b"D\x02\0\0\0\x01",
            b"l\0\0\0\0\0\0\0\x01",
            b"L\0\0\0\0\0\0\0\x01",
            b"T\0\0\0\0\0\0\0\x01",
            b"S\0\0\0\x02\xff\xfe",
            b"x\0\0\0\x02\xff\xfe",
            b"F\0\0\0\x03\x01aV",
            b"A\0\0\0\x02Vt\x01",
        ];
        for value in &table[..17] {
            assert_eq!(walked(value), (Some(value.len()), value.to_vec()), "{value:?}");
            assert_eq!(walked(&value[..value.len() - 1]).0, None, "{value:?} without its last byte");
        }
        assert_eq!(walked(b"\xf0\x01"), (None, b"\xf0\x01".to_vec()), "nobody knows where this ends");
    }

    #[test]
    fn what_lies_too_deep_or_is_no_table_is_kept_as_bytes() {
        let mut deep = b"V".to_vec();
        for _ in 0..20_000 {
            let length = u32::try_from(deep.len()).unwrap_or(u32::MAX);
            deep = [b"A", &length.to_be_bytes()[..], &deep].concat();
        }
        let (end, mended) = walked(&deep);
        assert_eq!(end, Some(deep.len()));
        // Each level is a type and a length.
        let kinds: Vec<u8> = mended.iter().copied().step_by(5).take(18).collect();
        assert_eq!(kinds, b"AAAAAAAAAAAAAAAAxA");
        assert_eq!(walked(b"A\0\0\0\x01\xf0").1, b"x\0\0\0\x01\xf0");
        let many = [b"A\0\0\x10\0", &[b'V'; 4096][..]].concat();
        assert_eq!(walked(&many).1.first(), Some(&b'x'), "more values than anybody has use for");
    }
}
