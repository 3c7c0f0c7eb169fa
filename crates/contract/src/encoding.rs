//! Bodies that their producer has compressed.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::malformed::{MAX_BODY, Malformed};

/// What a message's `content-encoding` says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Plain,
    Gzip,
    Deflate,
    /// None that is known here. Some clients write a charset there, or a word of their own.
    Unknown,
}

impl Encoding {
    /// By its name.
    pub(crate) fn named(name: Option<&str>) -> Self {
        let name = name.unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "identity" => Self::Plain,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            _ => Self::Unknown,
        }
    }

    /// The body without its encoding, and never more of it than a body may have.
    pub(crate) fn decoded(self, body: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
        match self {
            Self::Plain | Self::Unknown => Ok(Cow::Borrowed(body)),
            // What was cut off on its way here can't be read to its end.
            _ if body.len() > MAX_BODY => Err(Malformed::TooLarge),
            Self::Gzip => bounded(MultiGzDecoder::new(body)),
            // RFC 9110 wraps it in zlib's format; some do not.
            Self::Deflate => match bounded(ZlibDecoder::new(body)) {
                Err(Malformed::BadEncoding) => bounded(DeflateDecoder::new(body)),
                decoded => decoded,
            },
        }
    }
}

fn bounded(decoder: impl Read) -> Result<Cow<'static, [u8]>, Malformed> {
    let mut decoded = Vec::new();
    let read = decoder.take(MAX_BODY as u64 + 1).read_to_end(&mut decoded);
    match read {
        Ok(length) if length > MAX_BODY => Err(Malformed::TooLarge),
        Ok(_) => Ok(Cow::Owned(decoded)),
        Err(_) => Err(Malformed::BadEncoding),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use flate2::{Compression, GzBuilder};

    use super::*;
    use crate::MailTask;

    const TASK: &[u8] = br#"{"email":"ada@example.com","username":"ada"}"#;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).expect("into memory");
        encoder.finish().expect("into memory")
    }

    /// So many bytes, most of them a comment.
    fn gzip_of_length(length: usize, body: &[u8]) -> Vec<u8> {
        let comment = vec![b'c'; length - gzip(body).len() - 1];
        let mut encoder = GzBuilder::new().comment(comment).write(Vec::new(), Compression::best());
        encoder.write_all(body).expect("into memory");
        encoder.finish().expect("into memory")
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).expect("into memory");
        encoder.finish().expect("into memory")
    }

    fn deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).expect("into memory");
        encoder.finish().expect("into memory")
    }

    #[test]
    fn a_body_is_read_as_its_encoding_says_and_refused_with_the_reason() {
        let in_two = [gzip(&TASK[..9]), gzip(&TASK[9..])].concat();
        let long = [TASK, " ".repeat(MAX_BODY - TASK.len()).as_bytes()].concat();
        let cut = gzip(TASK)[..20].to_vec();
        let too_long = [&long[..], b" "].concat();
        let bomb = gzip(&vec![b' '; 2_000_000]);
        assert!(bomb.len() <= MAX_BODY, "{} bytes", bomb.len());
        for (what, encoding, body, read) in [
            ("plain", None, TASK.to_vec(), None),
            ("an empty name", Some(""), TASK.to_vec(), None),
            ("its own name for plain", Some("identity"), TASK.to_vec(), None),
            ("gzip", Some("gzip"), gzip(TASK), None),
            ("gzip in other letters", Some(" GZip"), gzip(TASK), None),
            ("gzip by its old name", Some("x-gzip"), gzip(TASK), None),
            ("gzip in two members", Some("gzip"), in_two, None),
            ("gzip of the longest body", Some("gzip"), gzip(&long), None),
            ("gzip that is itself the longest", Some("gzip"), gzip_of_length(MAX_BODY, TASK), None),
            ("gzip that is itself longer", Some("gzip"), gzip_of_length(MAX_BODY + 1, TASK), Some("too-large")),
            ("deflate as it should be", Some("deflate"), zlib(TASK), None),
            ("deflate as it is often", Some("deflate"), deflate(TASK), None),
            ("a charset, as Celery writes it", Some("utf-8"), TASK.to_vec(), None),
            ("a word of somebody's own", Some("json"), TASK.to_vec(), None),
            ("one byte more than the longest", Some("gzip"), gzip(&too_long), Some("too-large")),
            ("a bomb", Some("gzip"), bomb, Some("too-large")),
            ("cut off on the way", Some("gzip"), vec![0; MAX_BODY + 1], Some("too-large")),
            ("gzip that breaks off", Some("gzip"), cut, Some("bad-encoding")),
            ("not gzip", Some("gzip"), TASK.to_vec(), Some("bad-encoding")),
            ("not deflate", Some("deflate"), gzip(TASK), Some("bad-encoding")),
            ("gzip of nonsense", Some("gzip"), gzip(b"hello"), Some("not-json")),
            ("gzip of gzip", Some("gzip"), gzip(&gzip(TASK)), Some("not-json")),
            ("gzip and nobody says so", None, gzip(TASK), Some("not-json")),
            ("an encoding that nobody knows", Some("br"), b"\x0b\x02\x80hello\x03".to_vec(), Some("unknown-encoding")),
        ] {
            let task = MailTask::read(None, encoding, &body);
            assert_eq!(task.err().map(Malformed::reason), read, "{what}");
        }
    }
}
