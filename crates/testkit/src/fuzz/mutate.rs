//! New inputs from old ones.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _};

/// Bytes that parsers trip over: ends of lines and texts, quotes, brackets, the highest of each kind.
const BYTES: &[u8] = b"\0\t\n\r \"'\\/<>{}[]()=?@.,:;-_%&#+09azAZ\x7f\x80\xc3\xe2\xff";
/// Texts that parsers trip over, whatever they parse.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n.\r\n",
    b"\r\nBcc: eve@example.com\r\n",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    "\u{85}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{130}".as_bytes(),
    "\u{1f642}".as_bytes(),
    b"\\u0000",
    b"\\ud800",
    b"-1",
    b"0",
    b"255",
    b"256",
    b"65535",
    b"4294967296",
    b"9223372036854775808",
    b"18446744073709551616",
    b"1e999",
];
/// Mutations of one input.
const STEPS: u32 = 6;

pub(super) struct Mutator<'a> {
    pub(super) inputs: &'a [Vec<u8>],
    pub(super) words: &'a [&'a [u8]],
    pub(super) longest: usize,
}

impl Mutator<'_> {
    pub(super) fn next(&self, rng: &mut SmallRng) -> Vec<u8> {
        let mut input = self.inputs.choose(rng).cloned().unwrap_or_default();
        for _ in 0..rng.random_range(1..=STEPS) {
            self.change(&mut input, rng);
        }
        input.truncate(self.longest);
        input
    }

    fn change(&self, input: &mut Vec<u8>, rng: &mut SmallRng) {
        let at = rng.random_range(0..=input.len());
        let rest = input.len() - at;
        let some = |rng: &mut SmallRng| if rest == 0 { 0 } else { rng.random_range(1..=rest.min(32)) };
        match rng.random_range(0..10) {
            0 if rest > 0 => input[at] ^= 1 << rng.random_range(0..8),
            1 if rest > 0 => input[at] = rng.next_u32().to_le_bytes()[0],
            2 if rest > 0 => input[at] = BYTES.choose(rng).copied().unwrap_or_default(),
            3 => input.insert(at, BYTES.choose(rng).copied().unwrap_or_default()),
            4 => drop(input.drain(at..at + some(rng))),
            // The same piece again, sometimes very often: what is counted, gathered or nested.
            5 => {
                let piece = input[at..at + some(rng)].to_vec();
                let times = if rng.random_ratio(1, 16) { 1 << rng.random_range(4..12) } else { 1 };
                let times = times.min(self.longest / piece.len().max(1));
                insert(input, at, &piece.repeat(times));
            }
            6 => input.truncate(at),
            // The end of another input.
            7 => {
                if let Some(other) = self.inputs.choose(rng) {
                    input.truncate(at);
                    input.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
                }
            }
            8 => insert(input, at, WORDS.choose(rng).copied().unwrap_or_default()),
            _ => {
                let word = self.words.choose(rng).copied().unwrap_or_default();
                // Put in, or written over what is there.
                if rng.random() {
                    input.drain(at..at + word.len().min(rest));
                }
                insert(input, at, word);
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}
