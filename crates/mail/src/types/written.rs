//! A mail's texts, from its type's templates and its task's data.

use std::sync::Arc;

use minijinja::Value;

use super::fields::{Data, header_text};
use super::{MailType, MailTypes, Templates, unsubscribe};
use crate::language::Language;
use crate::plain;
use crate::template::engine::Scene;
use crate::template::part::{Failure, Part};

/// Who a mail is for and what it is about.
pub(crate) struct Occasion<'a> {
    pub(crate) product: &'a Value,
    pub(crate) email: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) data: &'a Data,
}

impl Occasion<'_> {
    /// What the template of the subject sees.
    pub(crate) fn scene(&self, language: &Language) -> Scene {
        Scene {
            product: self.product.clone(),
            name: self.name.map_or_else(|| Value::from(()), Value::from),
            email: Value::from(self.email),
            locale: Value::from(language.as_str()),
            dir: if language.is_right_to_left() { "rtl" } else { "ltr" },
            subject: None,
            data: Arc::clone(self.data.values()),
        }
    }
}

/// What stands in a mail. Lines end in CRLF.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    pub(crate) unsubscribe: Option<String>,
}

/// What became of each part.
pub(crate) struct Parts {
    pub(crate) subject: Result<String, Failure>,
    pub(crate) text: Result<String, Failure>,
    pub(crate) html: Result<Option<String>, Failure>,
    pub(crate) unsubscribe: Result<Option<String>, Failure>,
}

impl MailTypes {
    /// Writes one mail.
    ///
    /// # Errors
    /// What no later attempt would mend.
    pub(crate) fn write(
        &self,
        kind: &MailType,
        language: (&Language, &Templates),
        occasion: &Occasion<'_>,
    ) -> Result<Written, Failure> {
        let Parts { subject, text, html, unsubscribe } = self.parts(kind, language, occasion);
        Ok(Written { subject: subject?, text: text?, html: html?, unsubscribe: unsubscribe? })
    }

    /// Writes each part, whatever becomes of the others.
    pub(crate) fn parts(
        &self,
        kind: &MailType,
        (language, templates): (&Language, &Templates),
        occasion: &Occasion<'_>,
    ) -> Parts {
        let scene = occasion.scene(language);
        let subject = self.subject(&templates.subject, &scene);
        let scene = Value::from_object(scene.with_subject(subject.as_deref().unwrap_or_default()));
        let html = templates.html.as_ref().map(|part| part.render(&self.engine, &scene)).transpose();
        let text = match (&templates.text, &templates.html, &html) {
            (Some(text), ..) => text.render(&self.engine, &scene),
            (None, Some(part), Ok(Some(html))) => plain::from_html(html).map_err(|why| part.whole(why)),
            // Its failure is the HTML's.
            _ => Ok(String::new()),
        };
        let unsubscribe = kind.unsubscribe.as_ref().map(|part| self.unsubscribe(part, &scene)).transpose();
        Parts { subject, text, html, unsubscribe }
    }

    fn subject(&self, part: &Part, scene: &Scene) -> Result<String, Failure> {
        let subject = part.render(&self.engine, &Value::from_object(scene.clone()))?;
        let subject = header_text(&subject);
        if subject.trim().is_empty() { Err(part.whole("the subject is empty")) } else { Ok(subject) }
    }

    fn unsubscribe(&self, part: &Part, scene: &Value) -> Result<String, Failure> {
        let target = part.render(&self.engine, scene)?;
        if unsubscribe::is_target(&target) {
            Ok(target)
        } else {
            Err(part.whole("list_unsubscribe comes to neither a URL nor mailto: with one address"))
        }
    }
}
