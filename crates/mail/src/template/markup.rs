//! Tags in a text, also one that has pieces of the template language in it. Nothing is built of them and nothing mended: what is
//! not looked for stays as it is, byte for byte.

use std::ops::Range;

use super::jinja::Span;

/// What was found outside of comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Start(Tag),
    End {
        name: Range<usize>,
    },
    /// What stands in `<style>`, `<script>`, `<title>` or `<textarea>`, up to its end: no tags are in there.
    Raw {
        name: Range<usize>,
        range: Range<usize>,
    },
    /// A piece of the template language between tags, by its number.
    Piece(usize),
}

/// `<name attribute="value">`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: Range<usize>,
    pub(crate) attributes: Vec<Attribute>,
    /// It ends in `/>`.
    pub(crate) closed: bool,
    /// Pieces of the template language that are in no attribute's value, by number.
    pub(crate) strays: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: Range<usize>,
    /// Without its quotes.
    pub(crate) value: Range<usize>,
    pub(crate) quote: Option<u8>,
    /// Pieces of the template language in its value, by number.
    pub(crate) pieces: Range<usize>,
}

/// The tokens of a text, in which `spans` are pieces of the template language.
pub(crate) fn tokens(text: &str, spans: &[Span]) -> Vec<Token> {
    let mut reader = Reader { text, bytes: text.as_bytes(), spans, at: 0, span: 0, tokens: Vec::new() };
    while reader.at < text.len() {
        reader.step();
    }
    reader.tokens
}

/// Elements that have no end.
pub(crate) const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];

/// How deep elements are nested, those counted that are never ended.
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens(text, &[]) {
        match token {
            Token::Start(tag)
                if !tag.closed && !VOID.iter().any(|void| text[tag.name.clone()].eq_ignore_ascii_case(void)) =>
            {
                depth += 1;
                deepest = deepest.max(depth);
            }
            Token::End { .. } => depth = depth.saturating_sub(1),
            Token::Start(_) | Token::Raw { .. } | Token::Piece(_) => {}
        }
    }
    deepest
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    spans: &'a [Span],
    at: usize,
    /// The first that does not lie behind.
    span: usize,
    tokens: Vec<Token>,
}

impl Reader<'_> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Whether a piece of the template language begins here.
    fn at_piece(&mut self) -> bool {
        while self.spans.get(self.span).is_some_and(|span| span.range.start < self.at) {
            self.span += 1;
        }
        self.spans.get(self.span).is_some_and(|span| span.range.start == self.at)
    }

    /// Steps over the piece of the template language that begins here.
    fn piece(&mut self) -> Option<usize> {
        if !self.at_piece() {
            return None;
        }
        self.at = self.spans[self.span].range.end;
        self.span += 1;
        Some(self.span - 1)
    }

    fn step(&mut self) {
        if let Some(piece) = self.piece() {
            return self.tokens.push(Token::Piece(piece));
        }
        let rest = &self.bytes[self.at..];
        match rest {
            [b'<', b'!', b'-', b'-', ..] => self.skip_past(b"-->"),
            [b'<', b'!' | b'?', ..] => self.skip_past(b">"),
            [b'<', b'/', letter, ..] if letter.is_ascii_alphabetic() => {
                self.at += 2;
                let name = self.name();
                self.skip_past(b">");
                self.tokens.push(Token::End { name });
            }
            [b'<', letter, ..] if letter.is_ascii_alphabetic() => self.start(),
            _ => self.at += 1,
        }
    }

    fn skip_past(&mut self, end: &[u8]) {
        while self.at < self.bytes.len() {
            if self.piece().is_some() {
                continue;
            }
            if self.bytes[self.at..].starts_with(end) {
                self.at += end.len();
                return;
            }
            self.at += 1;
        }
    }

    fn name(&mut self) -> Range<usize> {
        let start = self.at;
        let ends = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'=');
        while self.byte().is_some_and(|byte| !ends(byte)) && !self.at_piece() {
            self.at += 1;
        }
        start..self.at
    }

    fn start(&mut self) {
        self.at += 1;
        let name = self.name();
        let mut tag = Tag { name: name.clone(), attributes: Vec::new(), closed: false, strays: Vec::new() };
        while let Some(byte) = self.byte() {
            if let Some(piece) = self.piece() {
                tag.strays.push(piece);
                continue;
            }
            match byte {
                b'>' => {
                    self.at += 1;
                    break;
                }
                b'/' => {
                    self.at += 1;
                    tag.closed = self.byte() == Some(b'>');
                }
                b'=' => self.at += 1,
                _ if byte.is_ascii_whitespace() => self.at += 1,
                _ => {
                    let attribute = self.attribute();
                    tag.attributes.push(attribute);
                }
            }
        }
        self.tokens.push(Token::Start(tag));
        let element = &self.text[name.clone()];
        if ["style", "script", "title", "textarea"].iter().any(|raw| element.eq_ignore_ascii_case(raw)) {
            self.raw(name);
        }
    }

    fn attribute(&mut self) -> Attribute {
        let name = self.name();
        let after = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        if self.byte() != Some(b'=') {
            self.at = after;
            return Attribute { name, value: after..after, quote: None, pieces: self.span..self.span };
        }
        self.at += 1;
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        let quote = self.byte().filter(|byte| matches!(byte, b'"' | b'\''));
        if quote.is_some() {
            self.at += 1;
        }
        let start = self.at;
        let mut pieces = None;
        while let Some(byte) = self.byte() {
            if let Some(piece) = self.piece() {
                pieces = Some(pieces.map_or(piece..piece + 1, |pieces: Range<usize>| pieces.start..piece + 1));
                continue;
            }
            let ends = match quote {
                Some(quote) => byte == quote,
                None => byte.is_ascii_whitespace() || byte == b'>',
            };
            if ends {
                break;
            }
            self.at += 1;
        }
        let value = start..self.at;
        if quote.is_some() {
            self.at = (self.at + 1).min(self.bytes.len());
        }
        Attribute { name, value, quote, pieces: pieces.unwrap_or(self.span..self.span) }
    }

    fn raw(&mut self, name: Range<usize>) {
        let start = self.at;
        let element = self.text[name.clone()].as_bytes();
        while self.at < self.bytes.len() {
            if self.piece().is_some() {
                continue;
            }
            let rest = &self.bytes[self.at..];
            let ends = rest.starts_with(b"</")
                && rest.get(2..2 + element.len()).is_some_and(|name| name.eq_ignore_ascii_case(element));
            if ends {
                break;
            }
            self.at += 1;
        }
        self.tokens.push(Token::Raw { name, range: start..self.at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::jinja::spans;

    /// In short: `<p class=x`, `/p`, `{{ x }}`, and what is raw.
    fn found(text: &str) -> Vec<String> {
        let spans = spans(text);
        let piece = |n: &usize| text[spans[*n].range.clone()].to_owned();
        tokens(text, &spans)
            .iter()
            .map(|token| match token {
                Token::Start(tag) => {
                    let mut out = format!("<{}", &text[tag.name.clone()]);
                    for attribute in &tag.attributes {
                        let (name, value) = (&text[attribute.name.clone()], &text[attribute.value.clone()]);
                        out += &format!(" {name}={value}");
                        out += if attribute.pieces.is_empty() { "" } else { "*" };
                    }
                    tag.strays.iter().for_each(|stray| out += &format!(" {}", piece(stray)));
                    out + if tag.closed { "/" } else { "" }
                }
                Token::End { name } => format!("/{}", &text[name.clone()]),
                Token::Raw { range, .. } => format!("raw {}", &text[range.clone()]),
                Token::Piece(number) => piece(number),
            })
            .collect()
    }

    #[test]
    fn depth_is_that_of_elements() {
        for (text, deep) in
            [("", 0), ("<a><b/><br></a><c>", 1), ("<a><b><c></c></b></a>", 3), ("</a></a><a>", 1), ("<p><p>", 2)]
        {
            assert_eq!(depth(text), deep, "{text}");
        }
    }

    #[test]
    fn tags_are_found_among_templates() {
        for (text, expected) in [
            ("<p class=\"a b\" id='c' x y=z>t</P>", vec!["<p class=a b id=c x= y=z", "/P"]),
            ("<a href=\"{{ x | f(\"y>\") }}\">{{ z }}</a>", vec!["<a href={{ x | f(\"y>\") }}*", "{{ z }}", "/a"]),
            ("<p {% if a > b %}class=\"c\"{% endif %}>", vec!["<p class=c {% if a > b %} {% endif %}"]),
            ("<!-- <p> {{ x }} --><br/><!doctype html>", vec!["<br/"]),
            (
                "<style>a>b{}</style><title><b>{{ x }}</title>",
                vec!["<style", "raw a>b{}", "/style", "<title", "raw <b>{{ x }}", "/title"],
            ),
            ("<a href={{ x }}>", vec!["<a href={{ x }}*"]),
            ("<h{{ n }}>", vec!["<h {{ n }}"]),
            ("a < b <3 <", vec![]),
            ("<p", vec!["<p"]),
            ("<p a='", vec!["<p a="]),
            ("</", vec![]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
