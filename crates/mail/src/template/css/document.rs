//! Who is whose parent and neighbour, as far as selectors ask. End tags that HTML lets out are known for lists, tables and
//! paragraphs.

use simplecss::{AttributeOperator, Element, PseudoClass};

use super::NeedsData;
use crate::template::jinja::{Piece, Span};
use crate::template::markup::{Tag, Token, VOID};

/// Not for the eye: rules such as `*` do not mean them.
const UNSEEN: [&str; 7] = ["html", "head", "title", "meta", "link", "style", "script"];
/// What ends a paragraph by beginning.
const BLOCKS: [&str; 20] = [
    "p",
    "div",
    "table",
    "ul",
    "ol",
    "dl",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "article",
    "header",
    "footer",
    "blockquote",
    "pre",
    "hr",
    "center",
];

#[derive(Debug)]
struct Node<'a> {
    tag: &'a Tag,
    name: String,
    parent: Option<usize>,
    previous: Option<usize>,
}

/// The elements of a text.
#[derive(Debug)]
pub(super) struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node<'a>>,
    blocks: bool,
    values: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position<'a> {
    document: &'a Document<'a>,
    index: usize,
}

/// The elements that are open, and the last child of each; the first stands for the text itself.
struct Open {
    elements: Vec<usize>,
    last: Vec<Option<usize>>,
}

impl Open {
    fn push(&mut self, element: usize) {
        self.elements.push(element);
        self.last.push(None);
    }

    fn close_from(&mut self, depth: usize) {
        self.elements.truncate(depth);
        self.last.truncate(depth + 1);
    }
}

impl<'a> Document<'a> {
    /// # Errors
    /// Elements that are there or not by the data, with others in them; classes and ids of the data's choosing.
    pub(super) fn of(text: &'a str, spans: &[Span], tokens: &'a [Token]) -> Result<Self, NeedsData> {
        let mut document = Self { text, nodes: Vec::new(), blocks: false, values: !spans.is_empty() };
        let mut open = Open { elements: Vec::new(), last: vec![None] };
        // How deep it was where each block began.
        let mut blocks = Vec::new();
        for token in tokens {
            match token {
                Token::Start(tag) => document.start(tag, &mut open)?,
                Token::End { name } => document.end(&text[name.clone()], &mut open),
                Token::Raw { .. } => {}
                Token::Piece(number) => {
                    let span = &spans[*number];
                    match span.piece {
                        Piece::Block => {
                            document.blocks = true;
                            block(text, span, open.elements.len(), &mut blocks)?;
                        }
                        Piece::Raw => return Err(NeedsData),
                        Piece::Value | Piece::Comment => {}
                    }
                }
            }
        }
        Ok(document)
    }

    fn start(&mut self, tag: &'a Tag, open: &mut Open) -> Result<(), NeedsData> {
        let decides = |name: &str| name.eq_ignore_ascii_case("class") || name.eq_ignore_ascii_case("id");
        let by_data = |attribute: &crate::template::markup::Attribute| {
            !attribute.pieces.is_empty() && decides(&self.text[attribute.name.clone()])
        };
        if !tag.strays.is_empty() || tag.attributes.iter().any(by_data) {
            return Err(NeedsData);
        }
        let name = self.text[tag.name.clone()].to_ascii_lowercase();
        self.close_implied(&name, open);
        let index = self.nodes.len();
        let parent = open.elements.last().copied();
        let previous = open.last.last_mut().and_then(|last| last.replace(index));
        let void = VOID.contains(&name.as_str());
        self.nodes.push(Node { tag, name, parent, previous });
        if !void {
            open.push(index);
        }
        Ok(())
    }

    /// Ends what the beginning of another element ends.
    fn close_implied(&self, name: &str, open: &mut Open) {
        let (ends, within): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol"]),
            "td" | "th" => (&["td", "th"], &["tr", "table"]),
            "tr" => (&["tr"], &["table", "tbody", "thead", "tfoot"]),
            "tbody" | "thead" | "tfoot" => (&["tbody", "thead", "tfoot"], &["table"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl"]),
            _ if BLOCKS.contains(&name) => (&["p"], &["td", "th", "div", "li", "body", "table", "section"]),
            _ => return,
        };
        for (depth, element) in open.elements.iter().enumerate().rev() {
            let name = self.nodes[*element].name.as_str();
            if ends.contains(&name) {
                return open.close_from(depth);
            }
            if within.contains(&name) {
                return;
            }
        }
    }

    fn end(&self, name: &str, open: &mut Open) {
        let same = |element: &usize| self.nodes[*element].name.eq_ignore_ascii_case(name);
        if let Some(depth) = open.elements.iter().rposition(same) {
            open.close_from(depth);
        }
    }

    /// Blocks stand between the elements.
    pub(super) fn has_blocks(&self) -> bool {
        self.blocks
    }

    /// Anything is left to the data.
    pub(super) fn has_values(&self) -> bool {
        self.values
    }

    /// The elements that are seen, in order, with their tags.
    pub(super) fn elements(&'a self) -> impl Iterator<Item = (Position<'a>, &'a Tag)> {
        self.nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| !UNSEEN.contains(&node.name.as_str()))
            .map(|(index, node)| (Position { document: self, index }, node.tag))
    }
}

/// A block must leave as many elements open as it found.
fn block(text: &str, span: &Span, depth: usize, open: &mut Vec<usize>) -> Result<(), NeedsData> {
    match span.keyword(text) {
        "if" | "for" | "with" | "filter" => open.push(depth),
        "else" | "elif" if open.last() != Some(&depth) => return Err(NeedsData),
        "set" if !span.inside(text).1.contains('=') => return Err(NeedsData),
        word if word.starts_with("end") && open.pop() != Some(depth) => return Err(NeedsData),
        _ => {}
    }
    Ok(())
}

impl<'a> Position<'a> {
    fn node(&self) -> &'a Node<'a> {
        &self.document.nodes[self.index]
    }
}

impl Element for Position<'_> {
    fn parent_element(&self) -> Option<Self> {
        self.node().parent.map(|index| Self { index, ..*self })
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.node().previous.map(|index| Self { index, ..*self })
    }

    fn has_local_name(&self, name: &str) -> bool {
        self.node().name.eq_ignore_ascii_case(name)
    }

    fn attribute_matches(&self, name: &str, operator: AttributeOperator<'_>) -> bool {
        let text = self.document.text;
        self.node()
            .tag
            .attributes
            .iter()
            .filter(|attribute| text[attribute.name.clone()].eq_ignore_ascii_case(name))
            .any(|attribute| match operator {
                // Also between ends of lines.
                AttributeOperator::Contains(word) => {
                    text[attribute.value.clone()].split_ascii_whitespace().any(|found| found == word)
                }
                operator => operator.matches(&text[attribute.value.clone()]),
            })
    }

    fn pseudo_class_matches(&self, class: PseudoClass<'_>) -> bool {
        // The others come and go with the reader's doing.
        class == PseudoClass::FirstChild && self.node().previous.is_none()
    }
}
