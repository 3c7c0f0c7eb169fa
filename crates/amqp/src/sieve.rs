//! What a broker sends, made into what the library can read.
//!
//! A message can hold anything: texts that are not UTF-8, tables within tables, 128 KiB of headers in one frame (a content
//! header cannot be split, and the broker does not mind the frame size that was agreed on), a body of 128 MiB. The library ends the connection at
//! some of these, overflows its stack at others, and keeps whatever it reads in memory. The broker delivers the message again then, for ever,
//! and whatever waits behind it waits. So it is made to fit here, before the library sees it:
//!
//! - what is no UTF-8 where it has to be becomes `?`, byte for byte;
//! - tables and arrays that lie too deep, or that hold too much, become bytes;
//! - headers beyond the frame size are left out, ours last; `x-headers-left-out` says how many;
//! - a body that is too long for any task is cut; `x-body-cut-from` says how long it was.

mod content;
mod fields;
mod method;

use std::collections::HashMap;

use contract::MAX_BODY;

use content::Room;

/// Type, channel and size before the payload of a frame, in bytes; one more ends it.
const HEAD: usize = 7;
const END: u8 = 0xce;
const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const CONTENT_BODY: u8 = 3;
const HEARTBEAT: [u8; HEAD + 1] = [8, 0, 0, 0, 0, 0, 0, END];

/// What a move may add to the properties of a message: its copy fits into a frame as well, so that it can be published.
pub(crate) const FOR_MOVES: usize = 1_536;
/// No frame is smaller (AMQP 0-9-1, `frame-min-size`).
const SMALLEST_FRAME: usize = 4_096;
/// Frames are held up to this; of a longer one the rest is left out. The largest that a broker takes by default is 128 KiB.
const HELD: usize = 1024 * 1024;
/// A body one longer than any task: whoever reads it sees that it is too long.
const BODY: u64 = MAX_BODY as u64 + 1;

/// The frames of one connection, in the direction from the broker.
#[derive(Debug)]
pub(crate) struct Sieve {
    frame_max: usize,
    /// The beginning of a frame whose end did not come yet.
    held: Vec<u8>,
    /// What is still to come of a frame that was too long to hold, in bytes.
    skip: u64,
    /// By channel: what may still pass of a body that is being cut, in bytes.
    cuts: HashMap<u16, u64>,
}

impl Sieve {
    /// For a client that asks for frames of `frame_max` bytes, and may be offered less.
    pub(crate) fn new(frame_max: u32) -> Self {
        Self { frame_max: frame_max as usize, held: Vec::new(), skip: 0, cuts: HashMap::new() }
    }

    /// Takes bytes in pieces of any size; whole frames come out of them.
    pub(crate) fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        let (before, came) = (out.len(), !bytes.is_empty());
        let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        bytes = &bytes[skipped..];
        self.skip -= skipped as u64;
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(length) = frame_length(&held[at..]) {
            let there = &mut held[at..];
            if length > HELD && there.len() >= HELD {
                let after = there.len();
                self.oversize(&mut there[..HELD], out);
                let rest = length.saturating_sub(after);
                self.skip = rest as u64;
                at += length.min(after);
            } else if there.len() >= length {
                self.frame(&mut there[..length], out);
                at += length;
            } else {
                break;
            }
        }
        held.drain(..at);
        if held.capacity() > HELD / 4 {
            held.shrink_to(HELD / 16);
        }
        self.held = held;
        // The library takes silence for a dead peer, however much is being left out.
        if came && out.len() == before {
            out.extend_from_slice(&HEARTBEAT);
        }
    }

    /// A frame of which only the beginning is here, and the rest is left out.
    fn oversize(&mut self, beginning: &mut [u8], out: &mut Vec<u8>) {
        self.payload(beginning[0], channel(beginning), &mut beginning[HEAD..], out);
    }

    fn frame(&mut self, frame: &mut [u8], out: &mut Vec<u8>) {
        match frame {
            [kind, _, _, _, _, _, _, payload @ .., END] => {
                let (kind, payload_length) = (*kind, payload.len());
                let channel = channel(frame);
                self.payload(kind, channel, &mut frame[HEAD..HEAD + payload_length], out);
            }
            // No frame: the library will say so.
            _ => out.extend_from_slice(frame),
        }
    }

    fn payload(&mut self, kind: u8, channel: u16, payload: &mut [u8], out: &mut Vec<u8>) {
        match kind {
            METHOD => {
                // Zero is no limit.
                if let Some(offered) = method::offered_frame_max(payload).filter(|offered| *offered > 0) {
                    self.frame_max = self.frame_max.min(offered);
                }
                method::mend(payload);
                write(kind, channel, payload, out);
            }
            CONTENT_HEADER => self.content_header(channel, payload, out),
            CONTENT_BODY => match self.cuts.get_mut(&channel) {
                None => write(kind, channel, payload, out),
                Some(left) => {
                    let passes = payload.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= passes as u64;
                    if passes > 0 {
                        write(kind, channel, &payload[..passes], out);
                    }
                }
            },
            _ => write(kind, channel, payload, out),
        }
    }

    fn content_header(&mut self, channel: u16, payload: &mut [u8], out: &mut Vec<u8>) {
        let room = Room { header: self.frame_max.max(SMALLEST_FRAME) - HEAD - 1 - FOR_MOVES, body: BODY };
        if content::body_length(payload).is_some_and(|length| length > BODY) {
            self.cuts.insert(channel, BODY);
        } else {
            self.cuts.remove(&channel);
        }
        match content::fit(payload, room) {
            None => write(CONTENT_HEADER, channel, payload, out),
            Some(fitting) => {
                tracing::debug!(channel, came = payload.len(), passes = fitting.len(), "a message is made to fit");
                write(CONTENT_HEADER, channel, &fitting, out);
            }
        }
    }
}

/// The length of a whole frame, as soon as its size is known.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let size = bytes.get(3..HEAD)?.first_chunk()?;
    Some(HEAD + u32::from_be_bytes(*size) as usize + 1)
}

fn channel(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[1], frame[2]])
}

fn write(kind: u8, channel: u16, payload: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    // It came in a frame of its own, or is shorter.
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(END);
}

#[cfg(test)]
mod tests;
