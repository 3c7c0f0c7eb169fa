//! What the compiler's parser would not bear (htmlparser 0.2.1), said in other words.

use std::borrow::Cow;

/// The same MJML. The parser looks two bytes before a `>` in a text, to see whether it ends `]]>`, and panics where that is within a
/// character. Such a `>` is written `&gt;`, or in styles after an empty comment.
pub(super) fn readable(mjml: &str) -> Cow<'_, str> {
    let mut readable = Cow::Borrowed(mjml);
    let (mut in_tag, mut quote, mut in_style) = (false, None, false);
    for (at, byte) in mjml.bytes().enumerate() {
        match (in_tag, byte) {
            (false, b'<') => {
                (in_tag, quote) = (true, None);
                in_style = mjml[at..].starts_with("<mj-style") || mjml[at..].starts_with("<style");
            }
            (false, b'>') if !mjml.is_char_boundary(at.saturating_sub(2)) => {
                // What was put in so far lies before.
                let at = readable.len() - (mjml.len() - at);
                let text = if in_style { "/**/>" } else { "&gt;" };
                readable.to_mut().replace_range(at..=at, text);
            }
            (false, _) => {}
            (true, b'"' | b'\'') if quote.is_none() => quote = Some(byte),
            (true, _) if quote == Some(byte) => quote = None,
            (true, b'>') => in_tag = quote.is_some(),
            (true, _) => {}
        }
    }
    readable
}
