//! Rules of `<style>` put into the elements' `style`, for the programs that read no other.
//!
//! Only tags are touched, and only their `style`, so that this is done once with a template, not with each of its mails; where a
//! template can't be understood without its data, it says so.

mod document;

use std::ops::Range;

use simplecss::{Declaration, StyleSheet};

use super::jinja::{Piece, Span};
use super::markup::{self, Tag, Token};
use document::Document;

/// Why it can't be done before the data is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeedsData;

/// Which rules.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sheet<'a> {
    /// Those of the `<style>` elements of the text.
    OfText,
    /// These.
    Given(&'a str),
}

/// The text with the rules put into its elements. `<style>` stays where it is, for what can only stand there. `spans` are the pieces of
/// the template language.
///
/// # Errors
/// Which rules are whose can be told only from the data.
pub(crate) fn inline(text: &str, spans: &[Span], sheet: Sheet<'_>) -> Result<String, NeedsData> {
    let tokens = markup::tokens(text, spans);
    let css = match sheet {
        Sheet::OfText => of_text(text, spans, &tokens)?,
        Sheet::Given(css) => css.to_owned(),
    };
    if css.trim().is_empty() {
        return Ok(text.to_owned());
    }
    let sheet = StyleSheet::parse(&css);
    if sheet.rules.is_empty() {
        return Ok(text.to_owned());
    }
    let document = Document::of(text, spans, &tokens)?;
    if (document.has_blocks() && (css.contains('+') || css.contains(":first-child")))
        || (document.has_values() && css.contains('['))
    {
        return Err(NeedsData);
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut done = 0;
    for (element, tag) in document.elements() {
        let (mut plain, mut important) = (Vec::new(), Vec::new());
        for rule in sheet.rules.iter().filter(|rule| rule.selector.matches(&element)) {
            for declaration in &rule.declarations {
                add(if declaration.important { &mut important } else { &mut plain }, *declaration);
            }
        }
        if plain.is_empty() && important.is_empty() {
            continue;
        }
        let (range, replacement) = style(text, tag, &plain, &important);
        out.push_str(&text[done..range.start]);
        out.push_str(&replacement);
        done = range.end;
    }
    out.push_str(&text[done..]);
    Ok(out)
}

/// All `<style>` that hold for every screen.
fn of_text(text: &str, spans: &[Span], tokens: &[Token]) -> Result<String, NeedsData> {
    let mut css = String::new();
    for pair in tokens.windows(2) {
        let [Token::Start(tag), Token::Raw { name, range }] = pair else { continue };
        if !text[name.clone()].eq_ignore_ascii_case("style") {
            continue;
        }
        let media = tag.attributes.iter().find(|attribute| text[attribute.name.clone()].eq_ignore_ascii_case("media"));
        if media.is_some_and(|media| !matches!(&text[media.value.clone()], "all" | "screen")) {
            continue;
        }
        let within = |span: &Span| range.contains(&span.range.start) && span.piece != Piece::Comment;
        if !tag.strays.is_empty() || spans.iter().any(within) {
            return Err(NeedsData);
        }
        css.push_str(&text[range.clone()]);
        css.push('\n');
    }
    Ok(css)
}

/// The later of two declarations of one property holds.
fn add<'a>(declarations: &mut Vec<Declaration<'a>>, new: Declaration<'a>) {
    declarations.retain(|old| !old.name.eq_ignore_ascii_case(new.name));
    declarations.push(new);
}

/// What to put where, so that a tag has these declarations before those of its own, and the important ones after.
fn style(text: &str, tag: &Tag, plain: &[Declaration<'_>], important: &[Declaration<'_>]) -> (Range<usize>, String) {
    let own = tag.attributes.iter().find(|attribute| text[attribute.name.clone()].eq_ignore_ascii_case("style"));
    let quote = own.and_then(|own| own.quote).unwrap_or(b'"');
    let value = own.map(|own| text[own.value.clone()].trim().trim_end_matches(';')).unwrap_or_default();
    let mut pieces = vec![written(plain, quote), value.to_owned(), written(important, quote)];
    pieces.retain(|piece| !piece.is_empty());
    let merged = pieces.join(";");
    match own {
        Some(own) if own.quote.is_some() => (own.value.clone(), merged),
        // With a value of its own without quotes, or with none.
        Some(own) if own.value.start > own.name.end => (own.value.clone(), format!("\"{merged}\"")),
        Some(own) => (own.name.clone(), format!("style=\"{merged}\"")),
        None => (tag.name.end..tag.name.end, format!(" style=\"{merged}\"")),
    }
}

fn written(declarations: &[Declaration<'_>], quote: u8) -> String {
    let quoted = if quote == b'"' { "&quot;" } else { "&#39;" };
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace(char::from(quote), quoted);
    declarations
        .iter()
        .map(|declaration| format!("{}:{}", declaration.name, escaped(declaration.value.trim())))
        .collect::<Vec<_>>()
        .join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::jinja;

    fn inlined(css: &str, body: &str) -> String {
        let text = format!("<style>{css}</style>{body}");
        let out = inline(&text, &jinja::spans(&text), Sheet::OfText).unwrap();
        out.strip_prefix(&format!("<style>{css}</style>")).unwrap().to_owned()
    }

    #[test]
    fn rules_go_into_the_elements_that_they_mean() {
        for (css, body, expected) in [
            ("p{color:red}", "<p>a<b>c</b></p>", "<p style=\"color:red\">a<b>c</b></p>"),
            ("P , .x{color:red}", "<p><i class='y x'>", "<p style=\"color:red\"><i style=\"color:red\" class='y x'>"),
            ("div p{a:b} div>p{c:d}", "<div><p><br></div><p>", "<div><p style=\"a:b;c:d\"><br></div><p>"),
            ("#a{color:red} p{color:blue}", "<p id=a>", "<p style=\"color:red\" id=a>"),
            ("p{color:red;margin:0}", "<p style='color:blue;'>", "<p style='color:red;margin:0;color:blue'>"),
            ("p{color:red!important}", "<p style=color:blue>", "<p style=\"color:blue;color:red\">"),
            (
                "p{font:\"A B\",'C'}",
                "<p><p style=''>",
                "<p style=\"font:&quot;A B&quot;,'C'\"><p style='font:\"A B\",&#39;C&#39;'>",
            ),
            (
                "p+p{a:b} p:first-child{c:d}",
                "<b><p></p><p></p></b>",
                "<b><p style=\"c:d\"></p><p style=\"a:b\"></p></b>",
            ),
            ("td{a:b}", "<table><tr><td>1<td>2</table>", "<table><tr><td style=\"a:b\">1<td style=\"a:b\">2</table>"),
            (
                "tr>td+td{a:b}",
                "<table><tr><td>1<td>2<tr><td>3</table>",
                "<table><tr><td>1<td style=\"a:b\">2<tr><td>3</table>",
            ),
            ("li>li{a:b}", "<ul><li>1<li>2</ul>", "<ul><li>1<li>2</ul>"),
            ("@media x{p{a:b}} p{c:d} a:hover{e:f}", "<p><a>", "<p style=\"c:d\"><a>"),
            ("", "<p>", "<p>"),
        ] {
            assert_eq!(inlined(css, body), expected, "{css}");
        }
    }

    #[test]
    fn templates_stay_as_they_are() {
        for (body, expected) in [
            (
                "<p>{{ a < b }}{% if x > 1 %}<i></i>{% endif %}",
                "<p style=\"a:b\">{{ a < b }}{% if x > 1 %}<i></i>{% endif %}",
            ),
            ("<p title=\"{{ x | f(\"<p>\") }}\">", "<p style=\"a:b\" title=\"{{ x | f(\"<p>\") }}\">"),
            ("<p style=\"c:{{ d }}\">", "<p style=\"a:b;c:{{ d }}\">"),
            (
                "<!-- <p> --><table>{% for x in y %}<tr></tr>{% endfor %}</table>",
                "<!-- <p> --><table>{% for x in y %}<tr></tr>{% endfor %}</table>",
            ),
        ] {
            assert_eq!(inlined("p{a:b}", body), expected);
        }
    }

    #[test]
    fn what_only_the_data_tells_is_left_to_it() {
        for (css, body) in [
            ("p{color:{{ c }}}", "<p>"),
            (".a{b:c}", "<p class=\"{{ x }}\">"),
            ("p{b:c}", "<p {% if x %}class=\"a\"{% endif %}>"),
            ("p+p{b:c}", "<p>{% if x %}<p>{% endif %}"),
            ("p{b:c}", "{% if x %}<div>{% else %}<p>{% endif %}</p>"),
            ("p{b:c}", "{% set x %}<p>{% endset %}{{ x }}"),
            ("p{b:c}", "{% raw %}<p>{% endraw %}"),
            ("a[href]{b:c}", "<a href=\"{{ x }}\">"),
        ] {
            let text = format!("<style>{css}</style>{body}");
            assert_eq!(inline(&text, &jinja::spans(&text), Sheet::OfText), Err(NeedsData), "{text}");
        }
    }
}
