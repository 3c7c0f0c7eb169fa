//! How deep templates may nest.

use super::{Piece, spans};

/// Longest piece, in bytes.
const MAX_PIECE: usize = 1_000;
/// Brackets within brackets, at most.
const MAX_BRACKETS: usize = 20;
/// Blocks within blocks, at most.
const MAX_BLOCKS: usize = 50;
/// `{% elif %}` in a template, at most.
const MAX_ELIF: usize = 200;

/// What the parser of the template language would not bear: it calls itself for whatever is nested or chained, and a stack that is
/// used up ends the process. With the offset.
pub(crate) fn too_deep(source: &str) -> Option<(usize, String)> {
    let (mut blocks, mut elifs) = (0_usize, 0);
    for span in spans(source) {
        let at = span.range.start;
        if matches!(span.piece, Piece::Comment | Piece::Raw) {
            continue;
        }
        if span.range.len() > MAX_PIECE {
            return Some((at, format!("one {{{{ .. }}}} or {{% .. %}} has more than {MAX_PIECE} bytes")));
        }
        if brackets(&source[span.range.clone()]) > MAX_BRACKETS {
            return Some((at, format!("brackets within brackets, more than {MAX_BRACKETS} deep")));
        }
        if span.piece != Piece::Block {
            continue;
        }
        match span.keyword(source) {
            "elif" => elifs += 1,
            word if word.starts_with("end") => blocks = blocks.saturating_sub(1),
            "if" | "for" | "with" | "filter" | "autoescape" | "macro" | "call" => blocks += 1,
            "set" if !span.inside(source).1.contains('=') => blocks += 1,
            _ => {}
        }
        if blocks > MAX_BLOCKS {
            return Some((at, format!("blocks within blocks, more than {MAX_BLOCKS} deep")));
        }
        if elifs > MAX_ELIF {
            return Some((at, format!("more than {MAX_ELIF} times elif")));
        }
    }
    None
}

/// How deep brackets are nested, those in quotes not counted.
fn brackets(piece: &str) -> usize {
    let (mut depth, mut deepest, mut quote, mut escaped) = (0_usize, 0, None, false);
    for byte in piece.bytes() {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_use_up_the_stack_is_found_first() {
        for (deep, what) in [
            (format!("a\n{{{{ {} }}}}", "\"x\"[a(".repeat(15)), Some("brackets")),
            (format!("{{{{ 1{} }}}}", "+1".repeat(600)), Some("bytes")),
            ("{% if x %}".repeat(51), Some("blocks")),
            (format!("{{% if x %}}{}", "{% elif x %}".repeat(201)), Some("elif")),
            (format!("{{{{ \"{}\" }}}}", "(\\\"".repeat(100)), None),
            ("{% if x %}{% set y %}{% endset %}{% endif %}".repeat(100), None),
            (format!("{{# {} #}}", "(".repeat(2_000)), None),
        ] {
            let found = too_deep(&deep);
            assert_eq!(found.is_some(), what.is_some(), "{deep:.80}");
            assert!(found.is_none_or(|(_, found)| found.contains(what.unwrap())), "{deep:.80}");
        }
    }
}
