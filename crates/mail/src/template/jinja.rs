//! Where in a text the template language stands: `{{ .. }}`, `{% .. %}`, `{# .. #}`.

mod depth;

use std::ops::Range;

pub(crate) use depth::too_deep;

/// What a piece of the template language is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// `{{ .. }}`
    Value,
    /// `{% .. %}`
    Block,
    /// `{# .. #}`
    Comment,
    /// `{% raw %} .. {% endraw %}`
    Raw,
}

/// A piece, marks included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) piece: Piece,
    pub(crate) range: Range<usize>,
}

impl Span {
    /// What stands between the marks, and the `-` or `+` inside each mark.
    pub(crate) fn inside<'a>(&self, source: &'a str) -> (&'a str, &'a str, &'a str) {
        let text = &source[self.range.clone()];
        let text = text.get(2..text.len().saturating_sub(2)).unwrap_or_default();
        let (first, text) = split_mark(text, text.get(..1), |text| &text[1..]);
        let (last, text) =
            split_mark(text, text.len().checked_sub(1).and_then(|at| text.get(at..)), |text| &text[..text.len() - 1]);
        (first, text.trim(), last)
    }

    /// The first word inside.
    pub(crate) fn keyword<'a>(&self, source: &'a str) -> &'a str {
        self.inside(source).1.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
    }
}

fn split_mark<'a>(text: &'a str, mark: Option<&'a str>, rest: impl Fn(&'a str) -> &'a str) -> (&'a str, &'a str) {
    match mark {
        Some(mark @ ("-" | "+")) => (mark, rest(text)),
        _ => ("", text),
    }
}

/// Every piece of the template language, in order. One that is not ended reaches to the end of the text: the template
/// language itself will say so.
pub(crate) fn spans(source: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some((piece, start)) = next(source, at) {
        let mut span = Span { piece, range: start..end(source, start, piece) };
        if piece == Piece::Block && span.inside(source).1 == "raw" {
            span = Span { piece: Piece::Raw, range: start..end_of_raw(source, span.range.end) };
        }
        at = span.range.end;
        spans.push(span);
    }
    spans
}

fn next(source: &str, from: usize) -> Option<(Piece, usize)> {
    let bytes = source.as_bytes();
    (from..bytes.len().saturating_sub(1)).find_map(|at| {
        let piece = match (bytes[at], bytes[at + 1]) {
            (b'{', b'{') => Piece::Value,
            (b'{', b'%') => Piece::Block,
            (b'{', b'#') => Piece::Comment,
            _ => return None,
        };
        Some((piece, at))
    })
}

/// After the closing mark; marks within quotes do not count.
fn end(source: &str, start: usize, piece: Piece) -> usize {
    let close: &[u8] = match piece {
        Piece::Value => b"}}",
        Piece::Block | Piece::Raw => b"%}",
        Piece::Comment => b"#}",
    };
    let bytes = source.as_bytes();
    let mut quote = None;
    let mut at = start + 2;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, _) if bytes[at..].starts_with(close) => return at + 2,
            (None, b'"' | b'\'') if piece != Piece::Comment => quote = Some(bytes[at]),
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
        at += 1;
    }
    source.len()
}

fn end_of_raw(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(found) = source[at..].find("{%") {
        let start = at + found;
        let span = Span { piece: Piece::Block, range: start..end(source, start, Piece::Block) };
        if span.inside(source).1 == "endraw" {
            return span.range.end;
        }
        at = start + 2;
    }
    source.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_with_their_ends() {
        let source = r#"a {{ x }} {%- if y == "%}" -%} {# it's #} {% raw %}{{ z }}{% endraw %} {{ '}}' }} { { }"#;
        let found: Vec<_> = spans(source).into_iter().map(|span| (span.piece, &source[span.range])).collect();
        assert_eq!(
            found,
            [
                (Piece::Value, "{{ x }}"),
                (Piece::Block, r#"{%- if y == "%}" -%}"#),
                (Piece::Comment, "{# it's #}"),
                (Piece::Raw, "{% raw %}{{ z }}{% endraw %}"),
                (Piece::Value, "{{ '}}' }}"),
            ]
        );
    }

    #[test]
    fn what_is_not_ended_reaches_to_the_end() {
        for source in ["{{ x", "{%", "{% raw %} {{ x }}", "{# ", "{{ \"}}", "\u{e4}{{\u{e4}", "{{'\\"] {
            assert_eq!(spans(source).last().map(|span| span.range.end), Some(source.len()), "{source}");
        }
    }

    #[test]
    fn marks_and_words_are_read() {
        let source = "{%- include \"_a.html\" +%}";
        let span = &spans(source)[0];
        assert_eq!(span.inside(source), ("-", "include \"_a.html\"", "+"));
        assert_eq!(span.keyword(source), "include");
        assert_eq!(spans("{{-}}")[0].inside("{{-}}"), ("-", "", ""));
    }
}
