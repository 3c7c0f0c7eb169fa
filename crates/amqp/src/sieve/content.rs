//! A content header: the properties of a message, and how long its body is.

use std::ops::Range;

use contract::header;

use super::fields::Walk;

/// Class, weight and the length of the body, in bytes.
const HEAD: usize = 12;
/// Headers that a message keeps at most, two notes of ours among them.
const MOST_HEADERS: usize = 256;
/// A header of ours is far shorter, in bytes.
const LONGEST_OF_OURS: usize = 1_024;
/// What the broker counts, and we read.
const COUNTS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// The properties in their order: the bit of each, and what it holds.
const PROPERTIES: [(u16, Holds); 14] = [
    (1 << 15, Holds::Text),
    (1 << 14, Holds::Text),
    (HEADERS, Holds::Table),
    (1 << 12, Holds::Bytes(1)),
    (1 << 11, Holds::Bytes(1)),
    (1 << 10, Holds::Text),
    (1 << 9, Holds::Text),
    (1 << 8, Holds::Text),
    (1 << 7, Holds::Id),
    (1 << 6, Holds::Bytes(8)),
    (1 << 5, Holds::Text),
    (1 << 4, Holds::Text),
    (1 << 3, Holds::Text),
    (1 << 2, Holds::Text),
];
/// The bit of `headers`.
const HEADERS: u16 = 1 << 13;
/// The bits that mean something.
const KNOWN: u16 = 0xfffc;

#[derive(Clone, Copy)]
enum Holds {
    Text,
    Id,
    Table,
    Bytes(usize),
}

/// What may be made of a message at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The content header, in bytes.
    pub(super) header: usize,
    /// The body, in bytes.
    pub(super) body: u64,
}

/// How long the body is.
pub(super) fn body_length(payload: &[u8]) -> Option<u64> {
    payload.get(4..).and_then(<[u8]>::first_chunk).map(|length| u64::from_be_bytes(*length))
}

/// Mends a content header where it stands, and writes it anew where that is not enough: what the library can read, no
/// longer than there is room for. `None`: it can stay as it is.
pub(super) fn fit(payload: &mut [u8], room: Room) -> Option<Vec<u8>> {
    let body = body_length(payload).unwrap_or(0);
    let layout = Layout::read(payload);
    if let Some(layout) = &layout
        && layout.whole
        && layout.headers.len() <= MOST_HEADERS
        && payload.len() <= room.header
        && body <= room.body
    {
        return None;
    }
    Some(layout.unwrap_or_default().write(payload, body, room))
}

/// Where things stand in a content header.
#[derive(Debug, Default)]
struct Layout {
    flags: u16,
    /// What comes before the headers, and after them.
    before: Range<usize>,
    after: Range<usize>,
    headers: Vec<Header>,
    /// Everything was understood.
    whole: bool,
}

/// One header: its name, and all of it.
#[derive(Debug)]
struct Header {
    name: Range<usize>,
    entry: Range<usize>,
}

impl Layout {
    /// Walks over the properties; `None` when they end before they should.
    fn read(payload: &mut [u8]) -> Option<Self> {
        let flags = u16::from_be_bytes(*payload.get(HEAD..)?.first_chunk()?);
        let mut layout = Self { flags: flags & KNOWN, whole: flags & !KNOWN == 0, ..Self::default() };
        let mut table = None;
        let mut walk = Walk::new(payload);
        walk.skip(HEAD + 2)?;
        let mut start = walk.at();
        for (bit, holds) in PROPERTIES {
            // Where they would stand if there are none.
            if bit == HEADERS {
                layout.before = start..walk.at();
                start = walk.at();
            }
            if flags & bit == 0 {
                continue;
            }
            match holds {
                Holds::Text => walk.text()?,
                Holds::Id => walk.id()?,
                Holds::Bytes(length) => walk.skip(length)?,
                Holds::Table => {
                    let entries = walk.long()?;
                    start = walk.at();
                    table = Some(entries.clone());
                    entries
                }
            };
        }
        layout.after = start..walk.at();
        layout.whole &= walk.is_done();
        if let Some(table) = table {
            layout.read_headers(payload, table);
        }
        Some(layout)
    }

    /// Up to the first that nobody understands.
    fn read_headers(&mut self, payload: &mut [u8], table: Range<usize>) {
        let offset = table.start;
        let moved = |range: Range<usize>| range.start + offset..range.end + offset;
        let mut walk = Walk::new(&mut payload[table]);
        while !walk.is_done() {
            let start = walk.at();
            let Some((name, value)) = walk.text().and_then(|name| Some((name, walk.value()?))) else {
                self.whole = false;
                return;
            };
            self.headers.push(Header { name: moved(name), entry: moved(start..value.end) });
        }
    }

    /// Writes it anew: all properties, ours among the headers, of the others as many as there is room for, and what is
    /// missing.
    fn write(&self, payload: &[u8], body: u64, room: Room) -> Vec<u8> {
        let others = self.before.len() + self.after.len();
        let mut notes = Vec::new();
        if body > room.body {
            note(&mut notes, header::BODY_CUT_FROM, body);
        }
        // Room for the note of what is left out as well.
        let mut left = room.header.saturating_sub(HEAD + 6 + others + notes.len() + noted(header::HEADERS_LEFT_OUT));
        let (mut kept, mut keep) = (vec![false; self.headers.len()], MOST_HEADERS - 2);
        for ours in [true, false] {
            for (header, kept) in self.headers.iter().zip(&mut kept) {
                let length = header.entry.len();
                if keep > 0 && length <= left && ours == is_ours(&payload[header.name.clone()], length) {
                    (*kept, keep, left) = (true, keep - 1, left - length);
                }
            }
        }
        let mut table = Vec::with_capacity(room.header.min(payload.len()));
        let mut left_out = u64::from(!self.whole);
        for (header, kept) in self.headers.iter().zip(kept) {
            let (name, entry) = (&payload[header.name.clone()], &payload[header.entry.clone()]);
            if !kept {
                left_out += 1;
            } else if name == header::HEADERS_LEFT_OUT.as_bytes() {
                // Said before, of the message that this one is a copy of.
                left_out += earlier(entry);
            } else if name != header::BODY_CUT_FROM.as_bytes() || body <= room.body {
                table.extend_from_slice(entry);
            }
        }
        if left_out > 0 {
            note(&mut notes, header::HEADERS_LEFT_OUT, left_out);
        }
        table.extend_from_slice(&notes);

        let mut written = Vec::with_capacity(HEAD + 6 + others + table.len());
        written.extend_from_slice(&payload[..HEAD.min(payload.len())]);
        written.resize(HEAD, 0);
        written[4..].copy_from_slice(&body.min(room.body).to_be_bytes());
        written.extend_from_slice(&(self.flags | HEADERS).to_be_bytes());
        written.extend_from_slice(&payload[self.before.clone()]);
        // Shorter than the payload, whose length was a u32.
        written.extend_from_slice(&u32::try_from(table.len()).unwrap_or(u32::MAX).to_be_bytes());
        written.extend_from_slice(&table);
        written.extend_from_slice(&payload[self.after.clone()]);
        written
    }
}

/// What this system, or the broker for it, writes and reads. Longer, it comes from somebody else.
fn is_ours(name: &[u8], length: usize) -> bool {
    length <= LONGEST_OF_OURS && header::ALL.iter().chain(&COUNTS).any(|ours| ours.as_bytes() == name)
}

fn note(notes: &mut Vec<u8>, name: &str, value: u64) {
    notes.push(u8::try_from(name.len()).unwrap_or(0));
    notes.extend_from_slice(name.as_bytes());
    notes.push(b'l');
    notes.extend_from_slice(&value.to_be_bytes());
}

/// The length of such a note.
fn noted(name: &str) -> usize {
    1 + name.len() + 1 + 8
}

/// The number in a note, if it is one.
fn earlier(entry: &[u8]) -> u64 {
    match entry.split_last_chunk::<8>() {
        Some((head, value)) if head.ends_with(b"l") => u64::from_be_bytes(*value).min(u32::MAX.into()),
        _ => 1,
    }
}
