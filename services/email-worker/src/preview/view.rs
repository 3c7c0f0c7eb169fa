//! From a set of types, and what is asked for, to what a page shows.

use std::sync::Arc;

use mail::{Fields, Language, MailOptions, MailType, MailTypes, Rendered};

use super::asked::Asked;
use super::page::{Field, Html, Link, Mail, Type, Written};
use super::written::{recipient, written};

/// So much of the text stands beside the subject.
const BEGINNING: usize = 140;

/// Where a type's mail in one language is.
pub(super) fn path(mail_type: &MailType, language: &Language) -> String {
    format!("/mails/{}/{}", mail_type.name(), language.as_str())
}

/// The list of all types; the current mail is the one at this path.
pub(super) fn types(types: &MailTypes, current: Option<&str>) -> Vec<Type> {
    let link = |mail_type: &MailType, language: &Language| {
        let href = path(mail_type, language);
        Link { language: language.to_string(), current: current == Some(&*href), href }
    };
    let shown = |mail_type: &MailType| Type {
        name: mail_type.name().to_string(),
        built_in: mail_type.is_built_in(),
        fields: fields(mail_type.fields()),
        languages: mail_type.languages().map(|language| link(mail_type, language)).collect(),
    };
    types.iter().map(shown).collect()
}

fn fields(fields: &Fields) -> Vec<Field> {
    let shown = fields.iter().map(|(name, field)| Field {
        name: name.clone(),
        kind: field.kind.name(),
        required: field.required,
    });
    shown.collect()
}

/// One type in one language, written or not.
pub(super) fn mail(
    types: &Arc<MailTypes>,
    mail_type: &MailType,
    language: &Language,
    asked: &Asked,
    options: &MailOptions,
) -> Mail {
    let path = path(mail_type, language);
    let sample = || serde_json::to_string_pretty(&mail_type.sample(language)).unwrap_or_default();
    let (written, error) = match written(types, mail_type, language, asked, options) {
        Ok(mail) => (Some(shown(&mail, mail_type, &path, asked, options)), None),
        Err(error) => (None, Some(error)),
    };
    Mail {
        mail_type: mail_type.name().to_string(),
        language: language.to_string(),
        fields: fields(mail_type.fields()),
        name: asked.name().to_owned(),
        data: asked.data.clone().unwrap_or_else(sample),
        pictures: asked.pictures,
        path,
        error,
        written,
    }
}

fn shown(mail: &Rendered, mail_type: &MailType, path: &str, asked: &Asked, options: &MailOptions) -> Written {
    let from = mail_type.from().unwrap_or(&options.from);
    let mut headers = vec![("From", from.to_string()), ("To", recipient(asked))];
    headers.extend(mail_type.reply_to().map(|reply_to| ("Reply-To", reply_to.to_string())));
    headers.push(("Subject", mail.subject().to_owned()));
    headers.extend(mail.unsubscribe().map(|target| ("List-Unsubscribe", target.to_owned())));
    let html = |_| Html {
        src: format!("{path}/html{}", asked.query()),
        other_pictures: format!("{path}{}", asked.with_pictures(!asked.pictures).query()),
    };
    Written {
        sender: from.name().map_or_else(|| from.ascii_address(), str::to_owned),
        subject: mail.subject().to_owned(),
        beginning: beginning(mail.text()),
        headers,
        html: mail.html().map(html),
        text: mail.text().replace("\r\n", "\n").trim_end().to_owned(),
        source: String::from_utf8_lossy(mail.bytes()).replace("\r\n", "\n"),
        download: format!("{path}/mail.eml{}", asked.query()),
    }
}

fn beginning(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(BEGINNING).collect()
}
