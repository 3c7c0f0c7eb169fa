//! Types of mails: what each asks for, and its templates in each language. A set of them is read and checked as a whole.

mod build;
mod check;
pub(crate) mod dates;
pub(crate) mod definition;
pub(crate) mod fields;
pub(crate) mod files;
#[cfg(test)]
mod fuzz;
pub(crate) mod identity;
mod lint;
pub(crate) mod name;
pub(crate) mod numbers;
pub(crate) mod unsubscribe;
pub(crate) mod written;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use minijinja::{Environment, Value as Shown};
use serde_json::{Map, Value};

use crate::headers::Headers;
use crate::language::Language;
use crate::problem::{Problem, Problems};
use crate::return_path::ReturnPath;
use crate::sender::Sender;
use crate::template::part::Part;
use build::{Builder, Origin};
use contract::TypeName;
use definition::{Definition, Priority};
use fields::{Data, Fields, WrongData};
use files::Files;
use identity::Found;
use written::Occasion;

/// The built-in type, as files.
const BUILT_IN: [(&str, &str); 7] = [
    ("email.welcome.toml", include_str!("built_in/email.welcome.toml")),
    ("email.welcome.en.subject", include_str!("built_in/email.welcome.en.subject")),
    ("email.welcome.en.txt", include_str!("built_in/email.welcome.en.txt")),
    ("email.welcome.en.html", include_str!("built_in/email.welcome.en.html")),
    ("email.welcome.zh.subject", include_str!("built_in/email.welcome.zh.subject")),
    ("email.welcome.zh.txt", include_str!("built_in/email.welcome.zh.txt")),
    ("email.welcome.zh.html", include_str!("built_in/email.welcome.zh.html")),
];

/// A set of mail types that was read and checked as a whole. It always has the built-in ones.
#[derive(Debug)]
pub struct MailTypes {
    types: BTreeMap<TypeName, MailType>,
    engine: Environment<'static>,
}

impl MailTypes {
    /// The types that need no files: `email.welcome`.
    ///
    /// # Errors
    /// None: its tests read it.
    pub fn built_in() -> Result<Self, Problems> {
        Self::of(&Files::new())
    }

    /// Reads the files of a directory, and adds the built-in types that it does not have. Whatever is in a directory within it, or begins
    /// with a dot, is not looked at.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn load(directory: &Path) -> Result<Self, Problems> {
        Self::load_found(directory).0
    }

    /// The same, and which files it was that were read.
    pub(crate) fn load_found(directory: &Path) -> (Result<Self, Problems>, Found) {
        let mut problems = Vec::new();
        let (files, found) = files::read(directory, &mut problems);
        (Builder::new(problems).read(&files, Origin::Files).finish(), found)
    }

    fn of(files: &Files) -> Result<Self, Problems> {
        Builder::new(Vec::new()).read(files, Origin::Files).finish()
    }

    /// Compiles with each mail what does not come out the same when it is compiled before, as far as samples tell.
    fn settle(&mut self, problems: &mut Vec<Problem>) {
        let product = Shown::from("Example");
        for kind in self.types.values_mut() {
            for (language, templates) in &mut kind.languages {
                let sample = kind.definition.samples.in_language(language);
                let (Some(part), Ok(data)) = (&mut templates.html, Data::check(&kind.definition.fields, &sample))
                else {
                    continue;
                };
                let occasion = Occasion { product: &product, email: "ada@example.com", name: Some("Ada"), data: &data };
                let scene = Shown::from_object(occasion.scene(language).with_subject("Subject"));
                if let Err(failure) = part.settle(&mut self.engine, &scene) {
                    problems.push(failure.into());
                }
            }
        }
    }

    /// The type of this name.
    pub fn get(&self, name: &str) -> Option<&MailType> {
        self.types.get(name)
    }

    /// All types, by name.
    pub fn iter(&self) -> impl Iterator<Item = &MailType> {
        self.types.values()
    }
}

/// One type of mails.
#[derive(Debug)]
pub struct MailType {
    name: TypeName,
    built_in: bool,
    definition: Definition,
    languages: BTreeMap<Language, Templates>,
    headers: Headers,
    unsubscribe: Option<Part>,
}

/// What a mail is made of in one language.
#[derive(Debug)]
pub(crate) struct Templates {
    pub(crate) subject: Part,
    pub(crate) text: Option<Part>,
    pub(crate) html: Option<Part>,
}

impl MailType {
    /// Its name, such as `email.welcome`.
    pub fn name(&self) -> &TypeName {
        &self.name
    }

    /// Whether it came with the program, and not from the directory.
    pub fn is_built_in(&self) -> bool {
        self.built_in
    }

    /// What its tasks' data must have, and may have.
    pub fn fields(&self) -> &Fields {
        &self.definition.fields
    }

    /// How long after a task was made its mail is still worth sending. `None`: always.
    pub fn expires_after(&self) -> Option<Duration> {
        self.definition.expires_after
    }

    /// How urgent its mails are, unless the task says otherwise.
    pub fn priority(&self) -> Priority {
        self.definition.priority
    }

    /// Who its mails are from in `From`. `None`: the sender of all mails.
    pub fn from(&self) -> Option<&Sender> {
        self.definition.from.as_ref()
    }

    /// Who gets the answers, when that is somebody else.
    pub fn reply_to(&self) -> Option<&Sender> {
        self.definition.reply_to.as_ref()
    }

    /// Where its bounces go. `None`: where those of all mails go.
    pub fn return_path(&self) -> Option<&ReturnPath> {
        self.definition.return_path.as_ref()
    }

    /// Whether its mails are kept from addresses that were refused for good before.
    pub fn is_suppressible(&self) -> bool {
        self.definition.suppressible
    }

    /// The languages that it is written in.
    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.languages.keys()
    }

    /// The sample data of `TYPE.toml` for one language.
    pub fn sample(&self, language: &Language) -> Map<String, Value> {
        self.definition.samples.in_language(language)
    }

    /// Checks a task's data. Fields that the type does not name are left out.
    ///
    /// # Errors
    /// The first field, by name, that is missing or of another kind.
    pub fn check(&self, data: &Map<String, Value>) -> Result<Data, WrongData> {
        Data::check(&self.definition.fields, data)
    }

    /// The language nearest to the wanted one: `zh-Hant-TW`, then `zh-Hant`, then `zh`, then the type's default.
    pub fn language(&self, wanted: Option<&str>) -> Option<&Language> {
        self.pick(wanted).map(|(language, _)| language)
    }

    /// Never `None` for a type that was checked.
    pub(crate) fn pick(&self, wanted: Option<&str>) -> Option<(&Language, &Templates)> {
        let mut wanted = wanted;
        while let Some(tag) = wanted {
            let same = |language: &Language| {
                let known = language.as_str().bytes();
                let given = tag.bytes().map(|b| if b == b'_' { b'-' } else { b });
                known.len() == given.len() && known.zip(given).all(|(a, b)| a.eq_ignore_ascii_case(&b))
            };
            if let Some(found) = self.languages.iter().find(|(language, _)| same(language)) {
                return Some(found);
            }
            wanted = tag.rfind(['-', '_']).map(|at| &tag[..at]);
        }
        self.languages.get_key_value(&self.definition.default_locale)
    }

    /// Files whose MJML or CSS is compiled with each mail, because it depends on the data: such mails cost more.
    pub fn compiled_with_each_mail(&self) -> impl Iterator<Item = &str> {
        let html = self.languages.values().filter_map(|templates| templates.html.as_ref());
        html.filter(|part| part.is_compiled_with_each_mail()).map(Part::file)
    }

    /// Whether writing one of its mails costs much more than filling in its templates: something is compiled, or the text is made of the
    /// HTML.
    pub(crate) fn is_costly(&self) -> bool {
        let makes_text = |templates: &Templates| templates.text.is_none() && templates.html.is_some();
        self.compiled_with_each_mail().next().is_some() || self.languages.values().any(makes_text)
    }

    pub(crate) fn headers(&self) -> &Headers {
        &self.headers
    }
}
