//! The methods in which a broker repeats what a stranger wrote.

use super::fields::Walk;

/// What stands in a method, in its order.
enum Part {
    /// So many bytes of no interest.
    Skip(usize),
    /// A short string.
    Text,
}

use Part::{Skip, Text};

/// `connection.tune`.
const TUNE: [u8; 4] = [0, 10, 0, 30];

/// The arguments that hold texts of others: names of exchanges, routing keys, words of the broker that quote them.
fn parts(method: [u8; 4]) -> &'static [Part] {
    match method {
        // connection.close and channel.close: code, words
        [0, 10, 0, 50] | [0, 20, 0, 40] => &[Skip(2), Text],
        // basic.return: code, words, exchange, routing key
        [0, 60, 0, 50] => &[Skip(2), Text, Text, Text],
        // basic.deliver: consumer, delivery tag, redelivered, exchange, routing key
        [0, 60, 0, 60] => &[Text, Skip(9), Text, Text],
        // basic.get-ok: delivery tag, redelivered, exchange, routing key
        [0, 60, 0, 71] => &[Skip(9), Text, Text],
        _ => &[],
    }
}

/// Makes UTF-8 of the texts.
pub(super) fn mend(payload: &mut [u8]) {
    let Some(method) = payload.first_chunk::<4>().copied() else { return };
    let mut walk = Walk::new(&mut payload[4..]);
    for part in parts(method) {
        let walked = match part {
            Skip(length) => walk.skip(*length),
            Text => walk.text(),
        };
        if walked.is_none() {
            return;
        }
    }
}

/// The largest frame that the broker offers, if this is where it says so. Zero is no limit.
pub(super) fn offered_frame_max(payload: &[u8]) -> Option<usize> {
    let (TUNE, [_, _, frame_max @ ..]) = (*payload.first_chunk()?, payload.get(4..)?) else { return None };
    Some(u32::from_be_bytes(*frame_max.first_chunk()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routing_key_of_any_bytes_can_be_read() {
        let mut deliver = b"\0\x3c\0\x3c\x03tag\0\0\0\0\0\0\0\x01\0\x02ex\x02\xff\xfe".to_vec();
        mend(&mut deliver);
        assert_eq!(deliver, b"\0\x3c\0\x3c\x03tag\0\0\0\0\0\0\0\x01\0\x02ex\x02??");
    }

    #[test]
    fn the_frame_size_is_read_where_it_is_offered_and_nowhere_else() {
        assert_eq!(offered_frame_max(b"\0\x0a\0\x1e\x07\xff\0\x02\0\0\0\x3c"), Some(131_072));
        assert_eq!(offered_frame_max(b"\0\x0a\0\x1e\x07\xff\0\x02"), None);
        assert_eq!(offered_frame_max(b"\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\x3c"), None);
    }
}
