//! MJML into HTML: a whole mail at once, or a template before its data is there.

mod marks;
mod readable;

use mrml::mj_head::MjHeadChild;
use mrml::mj_style::StyleInlineMode;
use mrml::mjml::Mjml;
use mrml::prelude::parser::{Error, ParseOutput, ParserOptions, Span as Position, WarningKind};
use mrml::prelude::render::RenderOptions;

use super::css::{self, NeedsData, Sheet};
use super::jinja;
use super::markup::{self, Token};

use marks::Marks;
use readable::readable;

/// Elements within elements, at most: the compiler calls itself for each, and a stack that is used up ends the process.
const DEPTH: usize = 100;
/// The elements that the compiler knows. It takes others for HTML.
const ELEMENTS: [&str; 34] = [
    "mj-accordion",
    "mj-accordion-element",
    "mj-accordion-text",
    "mj-accordion-title",
    "mj-all",
    "mj-attributes",
    "mj-body",
    "mj-breakpoint",
    "mj-button",
    "mj-carousel",
    "mj-carousel-image",
    "mj-class",
    "mj-column",
    "mj-divider",
    "mj-font",
    "mj-group",
    "mj-head",
    "mj-hero",
    "mj-image",
    "mj-include",
    "mj-navbar",
    "mj-navbar-link",
    "mj-preview",
    "mj-raw",
    "mj-section",
    "mj-selector",
    "mj-social",
    "mj-social-element",
    "mj-spacer",
    "mj-style",
    "mj-table",
    "mj-text",
    "mj-title",
    "mj-wrapper",
];

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) offset: usize,
    pub(crate) what: String,
}

/// HTML, and the rules of `<mj-style inline="inline">`, which are still to be put into it.
struct Compiled {
    html: String,
    css: String,
}

/// The HTML of a mail.
///
/// # Errors
/// It is not MJML.
pub(crate) fn to_html(mjml: &str) -> Result<String, Wrong> {
    let Compiled { html, css } = compiled(mjml)?;
    // Without a template nothing is left to data.
    Ok(css::inline(&html, &[], Sheet::Given(&css)).unwrap_or(html))
}

/// The HTML template of an MJML template.
///
/// # Errors
/// Its HTML depends on the data in other ways than by what is printed and repeated.
pub(crate) fn template_to_html(template: &str) -> Result<String, NeedsData> {
    let spans = jinja::spans(template);
    let marks = Marks::set(template, &spans)?;
    let Compiled { html, css } = compiled(marks.text()).map_err(|_| NeedsData)?;
    let html = marks.resolve(&html)?;
    css::inline(&html, &jinja::spans(&html), Sheet::Given(&css))
}

/// What is wrong with an MJML template whatever its data is: the elements themselves, and attributes that mean nothing.
pub(crate) fn lint(template: &str) -> Vec<Wrong> {
    // Blanks for the pieces of the template language, and for what is not ASCII, so that every offset is the template's.
    let mut blank = template.to_owned();
    for span in jinja::spans(template) {
        let width = span.range.len();
        blank.replace_range(span.range, &" ".repeat(width));
    }
    let blank: String = blank.chars().map(|c| if c.is_ascii() { c.into() } else { " ".repeat(c.len_utf8()) }).collect();
    let mut found: Vec<_> = markup::tokens(&blank, &[])
        .into_iter()
        .filter_map(|token| match token {
            Token::Start(tag) => Some(tag.name),
            _ => None,
        })
        .filter(|name| blank[name.clone()].starts_with("mj-") && !ELEMENTS.contains(&&blank[name.clone()]))
        .map(|name| Wrong { offset: name.start, what: format!("MJML: there is no element {}", &blank[name]) })
        .collect();
    match parsed(&blank) {
        Err(wrong) => found.push(wrong),
        Ok(parsed) => {
            let unknown = parsed.warnings.iter().filter(|warning| warning.kind == WarningKind::UnexpectedAttribute);
            found.extend(unknown.map(|warning| {
                let name = template.get(warning.span.start..warning.span.end).unwrap_or_default();
                Wrong { offset: warning.span.start, what: format!("MJML: the element has no attribute {name}") }
            }));
        }
    }
    found
}

fn compiled(mjml: &str) -> Result<Compiled, Wrong> {
    let mut parsed = parsed(mjml)?.element;
    let mut css = String::new();
    if let Some(head) = &mut parsed.children.head {
        head.children.retain(|child| match child {
            MjHeadChild::MjStyle(style) if style.inline_mode() == StyleInlineMode::Inline => {
                css.push_str(style.children());
                css.push('\n');
                false
            }
            _ => true,
        });
    }
    // Without the fonts that it knows: a mail would fetch them from somebody who then knows of it.
    let options = RenderOptions { fonts: std::collections::HashMap::new(), ..RenderOptions::default() };
    let html = parsed.render(&options).map_err(|error| Wrong { offset: 0, what: format!("MJML: {error}") })?;
    Ok(Compiled { html, css })
}

fn parsed(mjml: &str) -> Result<ParseOutput<Mjml>, Wrong> {
    if markup::depth(mjml) > DEPTH {
        return Err(Wrong { offset: 0, what: format!("MJML: elements within elements, more than {DEPTH} deep") });
    }
    mrml::parse_with_options(readable(mjml), &ParserOptions::default()).map_err(|error| wrong(&error))
}

fn wrong(error: &Error) -> Wrong {
    let at = |position: &Position| position.start;
    let (offset, what) = match error {
        Error::UnexpectedElement { position, .. } => (at(position), "an element that can't be here".to_owned()),
        Error::UnexpectedToken { position, .. } => (at(position), "text or a tag that can't be here".to_owned()),
        Error::MissingAttribute { name, position, .. } => (at(position), format!("the attribute {name} is missing")),
        Error::InvalidAttribute { position, .. } => {
            (at(position), "an attribute with a value that it can't have".to_owned())
        }
        Error::InvalidFormat { position, .. } => (at(position), "not well-formed".to_owned()),
        Error::IncludeLoaderError { position, .. } => {
            (at(position), "mj-include reads no files: use {% include \"_name.mjml\" %}".to_owned())
        }
        Error::EndOfStream { .. } => (0, "an element is not ended".to_owned()),
        Error::NoRootNode => (0, "there is no <mjml>".to_owned()),
        error => (0, error.to_string()),
    };
    Wrong { offset, what: format!("MJML: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(body: &str) -> String {
        format!(
            "<mjml><mj-head><mj-style inline=\"inline\">.x{{color:red}}</mj-style></mj-head><mj-body>\
             <mj-section><mj-column>{body}</mj-column></mj-section></mj-body></mjml>"
        )
    }

    #[test]
    fn a_mail_becomes_html_that_fetches_nothing() {
        let html = to_html(&mail("<mj-text css-class=\"x\" font-family=\"Lato\">Hi &lt;you&gt;</mj-text>")).unwrap();
        assert!(html.contains("Hi &lt;you&gt;"), "{html}");
        assert!(!html.contains("googleapis") && !html.contains("<link"), "{html}");
        assert!(html.contains("style=\"color:red;"), "{html}");
        assert!(!html.contains(".x{color"), "{html}");
    }

    #[test]
    fn a_template_becomes_a_template() {
        let body = "{% for item in items %}<mj-text>{{ item | upper }}</mj-text>{% endfor %}\
                    <mj-button href=\"{{ link }}\">{{ 'a < b' }}</mj-button>";
        let html = template_to_html(&mail(body)).unwrap();
        for kept in
            ["{% for item in items %}", "{{ item | upper }}", "{% endfor %}", "href=\"{{ link }}\"", "{{ 'a < b' }}"]
        {
            assert!(html.contains(kept), "{kept} in {html}");
        }
    }

    #[test]
    fn a_greater_than_may_stand_after_any_letter() {
        let css = "<mjml><mj-head><mj-style>.\u{4e2d} > b{color:red}</mj-style></mj-head><mj-body></mj-body></mjml>";
        assert!(to_html(css).unwrap().contains(".\u{4e2d} /**/> b{color:red}"));
        assert_eq!(lint(css), []);
        for text in ["\u{4e2d}>", "\u{4e2d} >", "\u{fc}>", "\u{fc}a>", "\u{1f642}a>", ">\u{4e2d}>"] {
            let body = mail(&format!("<mj-text>{text}</mj-text><mj-button>{text}</mj-button>"));
            assert_eq!(lint(&body), [], "{text}");
            let html = to_html(&body).unwrap().replace("&gt;", ">");
            assert_eq!(html.matches(text).count(), 2, "{text}: {html}");
        }
    }

    #[test]
    fn what_only_the_data_tells_is_left_to_it() {
        for body in [
            "<mj-text font-size=\"{{ size }}\">x</mj-text>",
            "<mj-text {% if big %}font-size=\"20px\"{% endif %}>x</mj-text>",
            "<mj-social>{% for x in y %}<mj-social-element name=\"x\" />{% endfor %}</mj-social>",
            "</mj-column>{% if x %}<mj-column>{% endif %}<mj-text>x</mj-text>",
        ] {
            assert_eq!(template_to_html(&mail(body)), Err(NeedsData), "{body}");
        }
    }

    #[test]
    fn what_is_not_mjml_is_named_with_its_place() {
        for (text, what) in [
            ("<p>", "MJML"),
            ("<mjml><mj-body><mj-section><mj-column></mj-section></mj-body></mjml>", "MJML"),
            ("<mjml><mj-body><mj-include path=\"/etc/passwd\" /></mj-body></mjml>", "reads no files"),
            ("<mjml><mj-body>", "not ended"),
            (&"<mj-body>".repeat(10_000), "deep"),
        ] {
            let wrong = to_html(text).unwrap_err();
            assert!(wrong.what.contains(what), "{text}: {wrong:?}");
        }
        assert!(lint("<mjml><mj-body><mj-txt>x</mj-txt></mj-body></mjml>")[0].what.contains("no element mj-txt"));
        let template = "{{ x }}<mjml lang=\"{{ y }}\" colour=\"red\"><mj-body>{% if y %}{% endif %}</mj-body></mjml>";
        let [Wrong { offset, what }] = &lint(template)[..] else { panic!("{:?}", lint(template)) };
        assert_eq!((&template[*offset..*offset + 6], what.contains("no attribute colour")), ("colour", true), "{what}");
    }
}
