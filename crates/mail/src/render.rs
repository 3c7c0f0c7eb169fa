//! From a task to a mail: templates in the user's language, then the bytes.

use std::borrow::Cow;
use std::str::FromStr;

use contract::{EmailAddress, Locale, TaskId, WelcomeEmail};
use minijinja::{Environment, context};
use time::OffsetDateTime;

use crate::address::{Envelope, ascii_address};
use crate::message::{self, Letter, Letterhead};

/// Who the mails are from: an address, with or without a name in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: EmailAddress,
}

impl Sender {
    /// The address with its domain in ASCII.
    pub fn ascii_address(&self) -> String {
        ascii_address(&self.address)
    }

    /// The domain in ASCII.
    pub fn ascii_domain(&self) -> &str {
        self.address.ascii_domain()
    }
}

/// Why a sender was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sender such as \"Sluice <no-reply@example.com>\" or no-reply@example.com, ASCII before the @")]
pub struct InvalidSender;

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => rest.split_once('<').ok_or(InvalidSender)?,
            None => ("", text),
        };
        let name = name.trim().trim_matches('"').trim();
        if name.chars().any(char::is_control) {
            return Err(InvalidSender);
        }
        let address: EmailAddress = address.trim().parse().map_err(|_| InvalidSender)?;
        // Every server must take mail from it, also one without SMTPUTF8.
        if address.needs_smtputf8() {
            return Err(InvalidSender);
        }
        Ok(Self { name: (!name.is_empty()).then(|| name.to_owned()), address })
    }
}

/// What all mails have in common.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// The sender, in the envelope and in `From`.
    pub from: Sender,
    /// What the product calls itself in its mails.
    pub product: String,
}

/// A mail ready to be sent.
#[derive(Clone)]
pub struct Rendered {
    /// The task it was made of.
    pub task: TaskId,
    /// Who it is from and for.
    pub envelope: Envelope,
    username: String,
    // With the line that ends it on the wire, and no other line that begins with a dot.
    wire: String,
}

impl Rendered {
    /// Headers and body, lines ended by CRLF, none longer than 998 bytes, ASCII unless the envelope needs SMTPUTF8.
    pub fn bytes(&self) -> &[u8] {
        self.wire.strip_suffix(message::END).unwrap_or(&self.wire).as_bytes()
    }

    /// Words of the mail that are nobody else's matter, beside its addresses: a server may quote a subject. Those of one or two
    /// letters say nothing of anybody.
    pub fn private_words(&self) -> impl Iterator<Item = &str> {
        self.username.split_whitespace().filter(|word| word.len() > 2)
    }

    /// What follows `DATA`: the mail and the final dot.
    pub fn on_the_wire(&self) -> &str {
        &self.wire
    }
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").field("task", &self.task).field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}

/// A template can't be used, or not with these values. Later tries would not change it.
#[derive(Debug, thiserror::Error)]
#[error("writing the mail: {0}")]
pub struct TemplateError(#[from] minijinja::Error);

/// Makes mails. Templates are read once, when it is built.
pub struct Renderer {
    templates: Environment<'static>,
    letterhead: Letterhead,
    sender: String,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").finish_non_exhaustive()
    }
}

impl Renderer {
    /// A renderer for one sender.
    ///
    /// # Errors
    /// A template that does not parse.
    pub fn new(options: MailOptions) -> Result<Self, TemplateError> {
        let mut templates = Environment::new();
        templates.add_global("product", options.product);
        for (name, source) in TEMPLATES {
            templates.add_template_owned(name, source.trim_end().replace('\n', "\r\n"))?;
        }
        let sender = options.from.ascii_address();
        let letterhead = Letterhead::new(options.from.name.as_deref(), &sender, options.from.ascii_domain());
        Ok(Self { templates, letterhead, sender })
    }

    /// The mail of one task. `now` becomes its `Date`.
    ///
    /// # Errors
    /// Only what no later attempt would mend.
    pub fn render(&self, task: &WelcomeEmail, id: TaskId, now: OffsetDateTime) -> Result<Rendered, TemplateError> {
        let envelope = Envelope::new(&self.sender, &task.email);
        let username = one_line(&task.username);
        let (subject, text, html) = match Locale::pick(task.locale.as_deref()) {
            Locale::En => ("en.subject", "en.txt", "en.html"),
            Locale::Zh => ("zh.subject", "zh.txt", "zh.html"),
        };
        let values = context! { username => &*username, in_subject => fit_for_subject(&username) };
        let render = |name| self.templates.get_template(name).and_then(|template| template.render(&values));
        let wire = self.letterhead.write(&Letter {
            id,
            envelope: &envelope,
            date: now,
            subject: &render(subject)?,
            text: &render(text)?,
            html: &render(html)?,
        });
        let username = username.into_owned();
        Ok(Rendered { task: id, envelope, username, wire })
    }
}

/// A name that would begin a new line anywhere does not.
fn one_line(username: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if username.contains(breaks) { username.replace(breaks, " ").into() } else { username.into() }
}

// Names end as minijinja expects of what is escaped (.html) and what is not.
const TEMPLATES: [(&str, &str); 6] = [
    ("en.subject", include_str!("templates/welcome.en.subject")),
    ("en.txt", include_str!("templates/welcome.en.txt")),
    ("en.html", include_str!("templates/welcome.en.html")),
    ("zh.subject", include_str!("templates/welcome.zh.subject")),
    ("zh.txt", include_str!("templates/welcome.zh.txt")),
    ("zh.html", include_str!("templates/welcome.zh.html")),
];

/// A subject is read in a list, next to the subjects of others: only a plain, short name may stand in it.
fn fit_for_subject(username: &str) -> bool {
    username.chars().count() <= 64
        && !username.trim().is_empty()
        && username.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '))
}
