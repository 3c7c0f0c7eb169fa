//! What is checked of a set beside that it parses.

use minijinja::Value;
use serde_json::Map;

use super::definition::{Definition, KNOWN};
use super::fields::WrongData;
use super::files::Files;
use super::name::Form;
use super::written::{Occasion, Parts};
use super::{MailType, MailTypes, Templates};
use crate::language::Language;
use crate::problem::Problem;
use crate::template::engine;
use crate::template::jinja::{self, Piece};
use crate::template::source::Assembler;
use contract::TypeName;

/// A layout parses, and has one place for what it surrounds.
pub(super) fn layout(file: &str, text: &str, form: Form, files: &Files, problems: &mut Vec<Problem>) {
    let places =
        jinja::spans(text).iter().filter(|span| span.piece == Piece::Value && span.inside(text).1 == "content").count();
    if places != 1 {
        problems.push(Problem::new(file, None, format!("has {places} times {{{{ content }}}}: a layout has it once")));
    }
    alone(file, form, files, problems);
}

/// A partial or a layout parses by itself.
pub(super) fn alone(file: &str, form: Form, files: &Files, problems: &mut Vec<Problem>) {
    // What it includes may be there only in some languages; whoever uses it will tell.
    let Ok(source) = Assembler::new(files, None).assemble(file, None) else { return };
    if let Some((offset, what)) = jinja::too_deep(source.text()) {
        return problems.push(source.problem(offset, what));
    }
    let name = format!("x.{}", form.extension());
    if let Err(error) = engine::new().add_template_owned(name, source.text().to_owned()) {
        let offset =
            error.range().map_or_else(|| source.offset_of_line(error.line().unwrap_or(1)), |range| range.start);
        problems.push(source.problem(offset, error.detail().unwrap_or("does not parse")));
    }
}

/// The layout of a file: none for a whole document.
pub(super) fn layout_of<'a>(file: &str, form: Form, files: &'a Files) -> Option<&'a str> {
    let layout = match form {
        Form::Html => "layout.html",
        Form::Text => "layout.txt",
        Form::Subject | Form::Mjml => return None,
    };
    let text = files.get(file)?.trim_start();
    let whole = ["<!doctype", "<html"]
        .iter()
        .any(|start| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start)));
    files.get_key_value(layout).filter(|_| form == Form::Text || !whole).map(|(name, _)| name.as_str())
}

/// What a type says of itself.
pub(super) fn definition(file: &str, name: &TypeName, definition: &Definition, problems: &mut Vec<Problem>) {
    if name.as_str() != contract::TYPE_WELCOME {
        return;
    }
    for (field, _) in definition.fields.iter().filter(|(name, field)| field.required && *name != "username") {
        let message = format!("`{field}` must be optional: tasks of {name} may have `username` and nothing else");
        problems.push(Problem::new(file, None, message));
    }
}

/// Every language of a type can be written with its sample, also without what is optional.
pub(super) fn renders(set: &MailTypes, kind: &MailType, problems: &mut Vec<Problem>) {
    for (language, templates) in &kind.languages {
        let before = problems.len();
        names(set, kind, templates, problems);
        let sample = kind.sample(language);
        tried(set, kind, (language, templates), Some("Ada Lovelace"), &sample, problems);
        if problems.len() > before {
            continue;
        }
        let required: Map<_, _> = sample
            .into_iter()
            .filter(|(name, _)| kind.fields().get(name).is_some_and(|field| field.required))
            .collect();
        tried(set, kind, (language, templates), None, &required, problems);
        for problem in problems.iter_mut().skip(before) {
            problem.message += ", when a task has only what is required";
        }
    }
}

/// Names that are neither fields nor known to all templates, also where the sample does not lead.
fn names(set: &MailTypes, kind: &MailType, templates: &Templates, problems: &mut Vec<Problem>) {
    let Templates { subject, text, html } = templates;
    for part in [Some(subject), text.as_ref(), html.as_ref(), kind.unsubscribe.as_ref()].into_iter().flatten() {
        let known = |name: &str| {
            kind.fields().contains_key(name)
                || (KNOWN.contains(&name) && !(name == "subject" && std::ptr::eq(part, subject)))
        };
        problems.extend(part.unknown_names(&set.engine, known).into_iter().map(Problem::from));
    }
}

/// Writes a mail with one sample.
fn tried(
    set: &MailTypes,
    kind: &MailType,
    (language, templates): (&Language, &Templates),
    name: Option<&str>,
    sample: &Map<String, serde_json::Value>,
    problems: &mut Vec<Problem>,
) {
    let data = match kind.check(sample) {
        Ok(data) => data,
        Err(wrong) => return no_sample(kind, language, &wrong, problems),
    };
    let product = Value::from("Example");
    let occasion = Occasion { product: &product, email: "ada@example.com", name, data: &data };
    let Parts { subject, text, html, unsubscribe } = set.parts(kind, (language, templates), &occasion);
    if let (Ok(text), Ok(_)) = (&text, &html)
        && text.trim().is_empty()
    {
        let part = templates.text.as_ref().or(templates.html.as_ref()).unwrap_or(&templates.subject);
        problems.push(part.whole("the mail has no words").into());
    }
    let failures = [subject.err(), text.err(), html.err(), unsubscribe.err()];
    problems.extend(failures.into_iter().flatten().map(Problem::from));
}

/// A value that some language's sample has, and this one's lacks. What none has was told of with its line.
fn no_sample(kind: &MailType, language: &Language, wrong: &WrongData, problems: &mut Vec<Problem>) {
    if kind.definition.samples.by_language.values().any(|sample| sample.contains_key(&wrong.field)) {
        let message = format!("`{}` has no value in the sample for {language}", wrong.field);
        problems.push(Problem::new(format!("{}.toml", kind.name), None, message));
    }
}
