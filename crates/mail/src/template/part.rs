//! One part of a mail in one language: subject, text or HTML.

use minijinja::{Environment, Error, ErrorKind, Value};

use super::css::{self, Sheet};
use super::jinja::{self, Span};
use super::mjml;
use super::source::Source;
use super::{engine, filters};
use crate::problem::Problem;
use crate::types::name::Form;

/// Longest part of a mail, in bytes.
const MAX: usize = 2 * 1024 * 1024;

/// A template that was read and checked.
#[derive(Debug)]
pub(crate) struct Part {
    source: Source,
    form: Form,
    /// Its name in the engine.
    name: String,
    compiled: Compiled,
}

/// When MJML and CSS are worked into the HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compiled {
    /// When the set was read: what the engine has is the HTML of the mail, or there is nothing to do.
    Once,
    /// With each mail: what the engine has is the text of the files.
    WithEachMail,
}

/// Why a part can't be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl From<Failure> for Problem {
    fn from(Failure { file, line, what }: Failure) -> Self {
        Self::new(file, Some(line), what)
    }
}

impl Part {
    /// Adds the template to the engine.
    ///
    /// # Errors
    /// It does not parse.
    pub(crate) fn new(
        name: String,
        form: Form,
        source: Source,
        engine: &mut Environment<'static>,
    ) -> Result<Self, Failure> {
        let mut part = Self { source, form, name, compiled: Compiled::Once };
        if let Some((offset, what)) = jinja::too_deep(part.source.text()) {
            return Err(part.at(offset, what));
        }
        if let Err(error) = part.as_in_files() {
            return Err(part.failure(&error));
        }
        let ready = match form {
            Form::Subject | Form::Text => Ok(part.source.text().to_owned()),
            Form::Html => css::inline(part.source.text(), &jinja::spans(part.source.text()), Sheet::OfText),
            Form::Mjml => mjml::template_to_html(part.source.text()),
        };
        let added = ready.is_ok_and(|text| engine.add_template_owned(part.name.clone(), on_the_wire(&text)).is_ok());
        if !added {
            part.compile_with_each_mail(engine)?;
        }
        Ok(part)
    }

    fn compile_with_each_mail(&mut self, engine: &mut Environment<'static>) -> Result<(), Failure> {
        self.compiled = Compiled::WithEachMail;
        engine
            .add_template_owned(self.name.clone(), on_the_wire(self.source.text()))
            .map_err(|error| self.failure(&error))
    }

    /// Compares what was compiled before the data was there with what comes of the data. Where they differ, the part is compiled
    /// with each mail from now on.
    ///
    /// # Errors
    /// None that reading it did not have.
    pub(crate) fn settle(&mut self, engine: &mut Environment<'static>, scene: &Value) -> Result<(), Failure> {
        if self.compiled == Compiled::WithEachMail || !self.form.is_markup() {
            return Ok(());
        }
        // What can't be written is told of elsewhere.
        let (Ok(now), Ok(rendered)) =
            (self.render(engine, scene), self.as_in_files().and_then(|files| files.render(scene)))
        else {
            return Ok(());
        };
        match self.compile(&on_the_wire(&rendered)) {
            Ok(later) if later == now => Ok(()),
            _ => self.compile_with_each_mail(engine),
        }
    }

    /// Whether MJML and CSS cost time with each mail.
    pub(crate) fn is_compiled_with_each_mail(&self) -> bool {
        self.compiled == Compiled::WithEachMail
    }

    /// The file that it begins in.
    pub(crate) fn file(&self) -> &str {
        self.source.place(0).0
    }

    /// Lines are ended by CRLF.
    ///
    /// # Errors
    /// A value that the template asks for and is not there, or not of the kind it needs.
    pub(crate) fn render(&self, engine: &Environment<'static>, scene: &Value) -> Result<String, Failure> {
        match engine.get_template(&self.name).and_then(|template| template.render(scene)) {
            Ok(text) if self.compiled == Compiled::WithEachMail => {
                self.fits(text).and_then(|text| self.compile(&text)).and_then(|html| self.fits(html))
            }
            Ok(text) => self.fits(text),
            Err(error) => Err(self.diagnosis(scene).unwrap_or_else(|| self.failure(&error))),
        }
    }

    fn fits(&self, text: String) -> Result<String, Failure> {
        if text.len() > MAX { Err(self.whole(format!("comes to more than {MAX} bytes"))) } else { Ok(text) }
    }

    /// The HTML of a mail.
    fn compile(&self, rendered: &str) -> Result<String, Failure> {
        // Nothing of the template language is left in it: `{{` is somebody's text.
        let html = match self.form {
            Form::Subject | Form::Text => return Ok(rendered.to_owned()),
            Form::Html => css::inline(rendered, &[], Sheet::OfText).unwrap_or_else(|_| rendered.to_owned()),
            // Lines that end in CR LF are text to the compiler, also between elements.
            Form::Mjml => mjml::to_html(&rendered.replace("\r\n", "\n")).map_err(|wrong| self.whole(wrong.what))?,
        };
        Ok(on_the_wire(&html.replace("\r\n", "\n")))
    }

    /// Names that the template asks for and nobody gives, at the first place of each.
    pub(crate) fn unknown_names(&self, engine: &Environment<'static>, known: impl Fn(&str) -> bool) -> Vec<Failure> {
        let Ok(template) = engine.get_template(&self.name) else { return Vec::new() };
        let names = template.undeclared_variables(false);
        let function = |name: &str| engine.globals().any(|(global, _)| global == name);
        names
            .into_iter()
            .filter(|name| !known(name) && !function(name))
            .map(|name| self.at(self.offset_of(&name), format!("`{name}` is not there")))
            .collect()
    }

    /// Where a name first stands within the template language.
    fn offset_of(&self, name: &str) -> usize {
        let text = self.source.text();
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let whole = |at: usize| {
            !text[..at].ends_with(|c: char| word(c) || c == '.') && !text[at + name.len()..].starts_with(word)
        };
        let within = |span: &Span| {
            let piece = &text[span.range.clone()];
            piece.match_indices(name).map(|(at, _)| span.range.start + at).find(|at| whole(*at))
        };
        jinja::spans(text).iter().find_map(within).unwrap_or(0)
    }

    fn at(&self, offset: usize, what: String) -> Failure {
        let (file, line) = self.source.place(offset);
        Failure { file: file.to_owned(), line, what }
    }

    /// A failure of all of it.
    pub(crate) fn whole(&self, what: impl Into<String>) -> Failure {
        self.at(0, what.into())
    }

    /// Once more with the text as it stands in the files, to learn the place.
    fn diagnosis(&self, scene: &Value) -> Option<Failure> {
        let error = self.as_in_files().and_then(|files| files.render(scene)).err()?;
        Some(self.failure(&error))
    }

    /// The text as it stands in the files, in an engine of its own.
    fn as_in_files(&self) -> Result<AsInFiles, Error> {
        let mut engine = engine::new();
        // A name that ends as the form does, so that it is escaped alike.
        let name = format!("x.{}", self.form.extension());
        engine.add_template_owned(name.clone(), self.source.text().to_owned())?;
        Ok(AsInFiles { engine, name })
    }

    fn failure(&self, error: &Error) -> Failure {
        let range = error.range().filter(|range| self.source.text().get(range.clone()).is_some());
        let offset = match &range {
            Some(range) => range.start,
            None => self.source.offset_of_line(error.line().unwrap_or(1)),
        };
        let expression = range.and_then(|range| self.source.text().get(range)).filter(|text| text.len() <= 80);
        self.at(offset, told(error, expression))
    }
}

struct AsInFiles {
    engine: Environment<'static>,
    name: String,
}

impl AsInFiles {
    fn render(&self, scene: &Value) -> Result<String, Error> {
        self.engine.get_template(&self.name)?.render(scene)
    }
}

/// As the wire has it, so that nothing is left to do for each mail.
fn on_the_wire(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// What is wrong, in the words of the template and never in those of the data.
fn told(error: &Error, expression: Option<&str>) -> String {
    match (error.kind(), expression) {
        (ErrorKind::UndefinedError, Some(expression)) => format!("`{expression}` is not there"),
        // Known before any value was.
        (
            ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction,
            _,
        ) => match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        },
        // Our filters' words, which name no value.
        (ErrorKind::InvalidOperation, _) if error.detail().is_some_and(filters::is_ours) => {
            error.detail().unwrap_or_default().to_owned()
        }
        (ErrorKind::OutOfFuel, _) => {
            format!("takes more than {} steps: loops within loops, or a text that grows", engine::STEPS)
        }
        (kind, Some(expression)) => format!("{kind}: `{expression}`"),
        (kind, None) => kind.to_string(),
    }
}
