//! What no template may do, because a value could do harm there.

use super::fields::{Fields, Kind};
use super::name::Form;
use crate::problem::Problem;
use crate::template::jinja::{self, Piece, Span};
use crate::template::markup::{self, Attribute, Tag, Token};
use crate::template::mjml;
use crate::template::source::Source;

/// Attributes that lead somewhere, or fetch something.
const LINKS: [&str; 5] = ["href", "src", "action", "background", "background-url"];

/// Adds what is wrong with a template.
pub(super) fn template(source: &Source, form: Form, fields: &Fields, problems: &mut Vec<Problem>) {
    let text = source.text();
    let spans = jinja::spans(text);
    for span in &spans {
        if span.piece == Piece::Block && span.keyword(text) == "autoescape" {
            problems
                .push(source.problem(span.range.start, "autoescape: what is escaped is decided by the kind of file"));
        }
    }
    if !form.is_markup() {
        return;
    }
    let lint = Lint { source, spans: &spans, fields };
    for token in markup::tokens(text, &spans) {
        match token {
            Token::Start(tag) => lint.tag(&tag, problems),
            Token::Raw { name, range } => lint.raw(&text[name], &range, problems),
            Token::End { .. } | Token::Piece(_) => {}
        }
    }
    if form == Form::Mjml {
        problems.extend(mjml::lint(text).into_iter().map(|wrong| source.problem(wrong.offset, wrong.what)));
    }
}

struct Lint<'a> {
    source: &'a Source,
    spans: &'a [Span],
    fields: &'a Fields,
}

impl Lint<'_> {
    fn tag(&self, tag: &Tag, problems: &mut Vec<Problem>) {
        let value = |number: &usize| self.spans[*number].piece == Piece::Value;
        for stray in tag.strays.iter().filter(|number| value(number)) {
            let what = "a value in a tag stands between the quotes of an attribute";
            problems.push(self.source.problem(self.spans[*stray].range.start, what));
        }
        for attribute in &tag.attributes {
            let first = attribute.pieces.clone().find(|number| value(number));
            if let (Some(first), None) = (first, attribute.quote) {
                let what = "a value in a tag stands between quotes, or it could bring attributes of its own";
                problems.push(self.source.problem(self.spans[first].range.start, what));
            }
            self.link(attribute, problems);
        }
    }

    /// A link that begins with a text of anybody's choosing may lead to a script.
    fn link(&self, attribute: &Attribute, problems: &mut Vec<Problem>) {
        let text = self.source.text();
        if !LINKS.iter().any(|link| text[attribute.name.clone()].eq_ignore_ascii_case(link)) {
            return;
        }
        let begins = |number: &usize| {
            let before = &text[attribute.value.start..self.spans[*number].range.start];
            self.spans[*number].piece == Piece::Value && before.trim().is_empty()
        };
        let Some(first) = attribute.pieces.clone().find(begins) else { return };
        let name = self.spans[first].inside(text).1;
        if self.fields.get(name).is_some_and(|field| field.kind != Kind::Url) {
            let what = format!("a link begins with `{name}`: make it a field of kind url");
            problems.push(self.source.problem(self.spans[first].range.start, what));
        }
    }

    /// Escaping does not help in there.
    fn raw(&self, element: &str, range: &std::ops::Range<usize>, problems: &mut Vec<Problem>) {
        if !["style", "script"].iter().any(|raw| element.eq_ignore_ascii_case(raw)) {
            return;
        }
        for span in self.spans.iter().filter(|span| span.piece == Piece::Value && range.contains(&span.range.start)) {
            let what = format!("a value can't stand in <{element}>: escaping does nothing there");
            problems.push(self.source.problem(span.range.start, what));
        }
    }
}
