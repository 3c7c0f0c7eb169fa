//! From files to a set of types, with everything that is wrong on the way.

use std::collections::BTreeMap;

use minijinja::Environment;

use super::definition::{self, Definition};
use super::fields::Fields;
use super::files::{Files, normal};
use super::name::{FileKind, Form};
use super::{BUILT_IN, MailType, MailTypes, Templates, check, lint};
use crate::headers::Headers;
use crate::language::Language;
use crate::problem::{Problem, Problems};
use crate::template::engine;
use crate::template::part::Part;
use crate::template::source::{Assembler, Source};
use contract::TypeName;

/// Where files are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Files,
    BuiltIn,
}

/// Names of the files of one type, by language and form.
type Parts = BTreeMap<Language, BTreeMap<Form, String>>;

pub(super) struct Builder {
    types: BTreeMap<TypeName, MailType>,
    engine: Environment<'static>,
    problems: Vec<Problem>,
}

impl Builder {
    /// With what was wrong before.
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { types: BTreeMap::new(), engine: engine::new(), problems }
    }

    /// The set, with the built-in types that no file overrides.
    pub(super) fn finish(mut self) -> Result<MailTypes, Problems> {
        if !self.types.contains_key(contract::TYPE_WELCOME) && self.problems.is_empty() {
            let files = BUILT_IN.map(|(name, text)| (name.to_owned(), normal(text)));
            self = self.read(&Files::from(files), Origin::BuiltIn);
        }
        let mut set = MailTypes { types: self.types, engine: self.engine };
        let mut problems = self.problems;
        set.settle(&mut problems);
        // What does not parse can't be tried.
        for kind in set.iter() {
            check::renders(&set, kind, &mut problems);
        }
        match Problems::of(problems) {
            None => Ok(set),
            Some(problems) => Err(problems),
        }
    }

    /// Adds the types of some files.
    pub(super) fn read(mut self, files: &Files, origin: Origin) -> Self {
        let mut definitions = BTreeMap::new();
        let mut parts: BTreeMap<TypeName, Parts> = BTreeMap::new();
        for (file, text) in files {
            match FileKind::of(file) {
                Ok(FileKind::Definition(name)) => {
                    definitions.insert(name, definition::read(file, text, &mut self.problems));
                }
                Ok(FileKind::Part(name, language, form)) => {
                    let same = parts.entry(name).or_default().entry(language).or_default().insert(form, file.clone());
                    if let Some(same) = same {
                        self.problem(file, format!("is for the same language as {same}"));
                    }
                }
                Ok(FileKind::Layout(form)) => check::layout(file, text, form, files, &mut self.problems),
                Ok(FileKind::Partial(form)) => check::alone(file, form, files, &mut self.problems),
                Err(hint) => self.problem(file, hint),
            }
        }
        for (name, parts) in &parts {
            if !definitions.contains_key(name) {
                for file in parts.values().flat_map(BTreeMap::values) {
                    self.problem(file, format!("belongs to no type: there is no {name}.toml"));
                }
            }
        }
        for (name, definition) in definitions {
            let parts = parts.remove(&name).unwrap_or_default();
            self.add(name, definition, &parts, files, origin);
        }
        self
    }

    fn problem(&mut self, file: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(file, None, message));
    }

    fn add(&mut self, name: TypeName, definition: Definition, parts: &Parts, files: &Files, origin: Origin) {
        let file = format!("{name}.toml");
        check::definition(&file, &name, &definition, &mut self.problems);
        let default = &definition.default_locale;
        if parts.is_empty() {
            self.problem(
                &file,
                format!("has no templates: {name}.{default}.subject and {name}.{default}.html, for instance"),
            );
        } else if !parts.contains_key(default) {
            self.problem(&file, format!("has no templates in its default_locale, {default}"));
        }
        let mut languages = BTreeMap::new();
        for (language, forms) in parts {
            if let Some(templates) = self.templates(&name, &definition.fields, language, forms, files) {
                languages.insert(language.clone(), templates);
            }
        }
        let unsubscribe = definition.list_unsubscribe.as_ref().and_then(|inline| {
            let source = Source::of_line(&file, inline.line, &inline.source);
            self.part(format!("{name}.list_unsubscribe"), Form::Text, source)
        });
        let headers = Headers::new(definition.from.as_ref(), definition.reply_to.as_ref());
        let built_in = origin == Origin::BuiltIn;
        self.types.insert(name.clone(), MailType { name, built_in, definition, languages, headers, unsubscribe });
    }

    /// The templates of one language, if all of them parse.
    fn templates(
        &mut self,
        name: &TypeName,
        fields: &Fields,
        language: &Language,
        forms: &BTreeMap<Form, String>,
        files: &Files,
    ) -> Option<Templates> {
        if !forms.contains_key(&Form::Subject) {
            self.problem(&format!("{name}.{language}.subject"), "is missing: a mail has a subject in each language");
        }
        match (forms.get(&Form::Html), forms.get(&Form::Mjml)) {
            (Some(_), Some(mjml)) => {
                self.problem(mjml, format!("{name}.{language}.html is there, too: only one of them can be"));
            }
            (None, None) if !forms.contains_key(&Form::Text) => {
                self.problem(
                    &format!("{name}.{language}.subject"),
                    format!("has no mail: {name}.{language}.html, .mjml or .txt is missing"),
                );
            }
            _ => {}
        }
        let mut read = BTreeMap::new();
        for (form, file) in forms {
            let layout = check::layout_of(file, *form, files);
            match Assembler::new(files, Some(language)).assemble(file, layout) {
                Ok(source) => {
                    lint::template(&source, *form, fields, &mut self.problems);
                    if let Some(part) = self.part(format!("{name}.{language}.{}", form.extension()), *form, source) {
                        read.insert(*form, part);
                    }
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        if read.len() < forms.len() {
            return None;
        }
        let html = read.remove(&Form::Html).or_else(|| read.remove(&Form::Mjml));
        Some(Templates { subject: read.remove(&Form::Subject)?, text: read.remove(&Form::Text), html })
    }

    fn part(&mut self, name: String, form: Form, source: Source) -> Option<Part> {
        Part::new(name, form, source, &mut self.engine).map_err(|failure| self.problems.push(failure.into())).ok()
    }
}
