//! Lines of the protocol, apart from any I/O.

/// A command line: the verb in upper case, and the rest.
pub(crate) fn command(line: &str) -> (String, &str) {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    (verb.to_ascii_uppercase(), rest.trim())
}

/// `FROM:<a@b> SIZE=1` with the keyword `FROM` gives the address and the parameters.
pub(crate) fn path<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (found, rest) = argument.split_once(':')?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (address, parameters) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    Some((address, parameters.trim()))
}

/// The value of a parameter (empty when it has none); `None` when it is not there.
pub(crate) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split_whitespace().find_map(|parameter| {
        let (found, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A reply as it goes over the wire: `250 a\nb` becomes `250-a`, `250 b`.
pub(crate) fn write_reply(reply: &str, out: &mut Vec<u8>) {
    let (code, text) = reply.split_at(3);
    let mut lines = text.strip_prefix(' ').unwrap_or(text).split('\n').peekable();
    while let Some(line) = lines.next() {
        out.extend_from_slice(code.as_bytes());
        out.push(if lines.peek().is_some() { b'-' } else { b' ' });
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_apart() {
        assert_eq!(path("FROM:<a@b> SIZE=12 SMTPUTF8", "FROM"), Some(("a@b", "SIZE=12 SMTPUTF8")));
        assert_eq!(path("from: <>", "FROM"), Some(("", "")));
        assert_eq!(path("TO:<a@b>", "FROM"), None);
        assert_eq!(path("FROM:a@b", "FROM"), None);
        assert_eq!(parameter("SIZE=12 SMTPUTF8", "smtputf8"), Some(""));
        assert_eq!(parameter("SIZE=12 SMTPUTF8", "size"), Some("12"));
        assert_eq!(parameter("SIZE=12", "body"), None);
    }

    #[test]
    fn replies_may_have_several_lines() {
        let mut out = Vec::new();
        write_reply("250 one\ntwo", &mut out);
        assert_eq!(out, b"250-one\r\n250 two\r\n");
    }

    #[test]
    fn base64_pads() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("\0user\0pw", "AHVzZXIAcHc=")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
