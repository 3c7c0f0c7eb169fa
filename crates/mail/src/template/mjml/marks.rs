//! Marks that stand for the pieces of a template while it is compiled. Where the compiler would do something else with another number of
//! elements, or with another value, no mark is set.

use crate::template::css::NeedsData;
use crate::template::jinja::{Piece, Span};
use crate::template::markup::{self, Tag, Token};

/// Attributes that are handed on as they are.
const HANDED_ON: [&str; 6] = ["href", "src", "alt", "title", "lang", "dir"];
/// Elements whose children stand one below the other, whatever their number.
const STACKS: [&str; 2] = ["mj-body", "mj-column"];
/// Elements with text or HTML inside, which is handed on as it is.
const TEXTS: [&str; 6] = ["mj-text", "mj-button", "mj-table", "mj-raw", "mj-accordion-text", "mj-accordion-title"];

/// A template with marks in place of its pieces.
#[derive(Debug)]
pub(crate) struct Marks<'a> {
    text: String,
    marks: Vec<Mark<'a>>,
}

#[derive(Debug)]
struct Mark<'a> {
    mark: String,
    piece: &'a str,
    /// What is repeated may be printed anywhere; what repeats stands where it stood.
    once: bool,
}

impl<'a> Marks<'a> {
    /// # Errors
    /// A piece stands where the compiler would need its value.
    pub(crate) fn set(template: &'a str, spans: &[Span]) -> Result<Self, NeedsData> {
        let tokens = markup::tokens(template, spans);
        // Of the HTML inside of texts nothing is asked but its end.
        let mut open: Vec<&str> = Vec::new();
        let mut comments = vec![None; spans.len()];
        for token in &tokens {
            match token {
                Token::Start(tag) => {
                    for piece in in_attributes(template, tag)? {
                        comments[piece] = Some(false);
                    }
                    if !tag.closed && template[tag.name.clone()].starts_with("mj") {
                        open.push(&template[tag.name.clone()]);
                    }
                }
                Token::End { name } => {
                    if let Some(depth) = open.iter().rposition(|element| *element == &template[name.clone()]) {
                        open.truncate(depth);
                    }
                }
                Token::Raw { range, .. } => {
                    if spans.iter().any(|span| range.contains(&span.range.start)) {
                        return Err(NeedsData);
                    }
                }
                Token::Piece(piece) => {
                    let parent = open.last().copied().unwrap_or_default();
                    let block = matches!(spans[*piece].piece, Piece::Block | Piece::Comment);
                    comments[*piece] = Some(match () {
                        () if TEXTS.contains(&parent) => false,
                        () if STACKS.contains(&parent) && block => true,
                        () => return Err(NeedsData),
                    });
                }
            }
        }
        Self::replaced(template, spans, &comments)
    }

    fn replaced(template: &'a str, spans: &[Span], comments: &[Option<bool>]) -> Result<Self, NeedsData> {
        let mut word = "zq".to_owned();
        while template.contains(&word) {
            word.push('q');
        }
        let (mut text, mut marks, mut done) = (String::with_capacity(template.len()), Vec::new(), 0);
        for (number, (span, comment)) in spans.iter().zip(comments).enumerate() {
            // In a comment, or somewhere else that was not looked at.
            let comment = comment.ok_or(NeedsData)?;
            let mark = if comment { format!("<!--{word}{number}z-->") } else { format!("{word}{number}z") };
            text.push_str(&template[done..span.range.start]);
            text.push_str(&mark);
            done = span.range.end;
            marks.push(Mark { mark, piece: &template[span.range.clone()], once: span.piece != Piece::Value });
        }
        text.push_str(&template[done..]);
        Ok(Self { text, marks })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Puts the pieces back.
    ///
    /// # Errors
    /// One is gone, or what may stand but once, and in its order, does not.
    pub(crate) fn resolve(&self, compiled: &str) -> Result<String, NeedsData> {
        let mut out = compiled.to_owned();
        let mut after = 0;
        for Mark { mark, once, .. } in &self.marks {
            let found = compiled.matches(mark.as_str()).count();
            if found == 0 || (*once && found > 1) {
                return Err(NeedsData);
            }
            if *once {
                let at = compiled.find(mark.as_str()).unwrap_or_default();
                if at < after {
                    return Err(NeedsData);
                }
                after = at;
            }
        }
        for Mark { mark, piece, .. } in &self.marks {
            out = out.replace(mark.as_str(), piece);
        }
        Ok(out)
    }
}

/// The pieces in attributes.
///
/// # Errors
/// In one that the compiler reckons with, or that may be there or not.
fn in_attributes(template: &str, tag: &Tag) -> Result<Vec<usize>, NeedsData> {
    if !tag.strays.is_empty() {
        return Err(NeedsData);
    }
    let mut pieces = Vec::new();
    let component = template[tag.name.clone()].starts_with("mj");
    for attribute in tag.attributes.iter().filter(|attribute| !attribute.pieces.is_empty()) {
        if component && !HANDED_ON.contains(&&template[attribute.name.clone()]) {
            return Err(NeedsData);
        }
        pieces.extend(attribute.pieces.clone());
    }
    Ok(pieces)
}
