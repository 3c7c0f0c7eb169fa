//! A page: what it shows, and the HTML of it.

use std::sync::Arc;

use anyhow::Context as _;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// How its template is called; `.html` has every value escaped.
const NAME: &str = "page.html";

/// All that a page shows.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) directory: String,
    /// Which files it was made of, for whoever tells of changes.
    pub(super) version: String,
    /// What is wrong with the files as they are now: `file:line: message`.
    pub(super) problems: Vec<String>,
    /// Whether there was no good set of files yet.
    pub(super) built_in_alone: bool,
    pub(super) types: Vec<Type>,
    /// What is asked for and is not there.
    pub(super) missing: Option<String>,
    pub(super) mail: Option<Mail>,
}

/// A type in the list.
#[derive(Debug, Serialize)]
pub(super) struct Type {
    pub(super) name: String,
    pub(super) built_in: bool,
    pub(super) fields: Vec<Field>,
    pub(super) languages: Vec<Link>,
}

/// A field of a type.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) required: bool,
}

/// A type's language, and where its mail is.
#[derive(Debug, Serialize)]
pub(super) struct Link {
    pub(super) language: String,
    pub(super) href: String,
    pub(super) current: bool,
}

/// One type in one language.
#[derive(Debug, Serialize)]
pub(super) struct Mail {
    pub(super) mail_type: String,
    pub(super) language: String,
    pub(super) fields: Vec<Field>,
    /// Where this page is without anything asked for.
    pub(super) path: String,
    /// How the recipient is called.
    pub(super) name: String,
    /// JSON, as it was typed or as the sample has it.
    pub(super) data: String,
    pub(super) pictures: bool,
    /// Why there is nothing to show.
    pub(super) error: Option<String>,
    pub(super) written: Option<Written>,
}

/// A mail as programs for mails show it.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    pub(super) sender: String,
    pub(super) subject: String,
    /// The beginning of the text, as a list of mails has it.
    pub(super) beginning: String,
    /// Names of headers, and what stands in them.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) html: Option<Html>,
    pub(super) text: String,
    pub(super) source: String,
    /// Where the source is as a file.
    pub(super) download: String,
}

/// Where the HTML part is, and the page with its pictures the other way round.
#[derive(Debug, Serialize)]
pub(super) struct Html {
    pub(super) src: String,
    pub(super) other_pictures: String,
}

/// Makes HTML of pages.
#[derive(Debug, Clone)]
pub(super) struct Pages(Arc<Environment<'static>>);

impl Pages {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.add_template(NAME, include_str!("page.html")).context("reading the preview's page")?;
        Ok(Self(Arc::new(engine)))
    }

    pub(super) fn html(&self, page: &Page) -> anyhow::Result<String> {
        let template = self.0.get_template(NAME).context("reading the preview's page")?;
        template.render(Serde(page)).context("writing the preview's page")
    }
}
