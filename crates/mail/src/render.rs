//! From a task to a mail: its type's templates in the user's language, then the bytes.

use std::borrow::Cow;
use std::sync::Arc;

use contract::{EmailAddress, MailTask, TYPE_WELCOME, TaskId};
use minijinja::Value as Shown;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::address::Envelope;
use crate::dkim::{Dkim, Unsigned};
use crate::message::{END, Message, MessageBuilder};
use crate::problem::Problems;
use crate::rendered::Rendered;
use crate::return_path::ReturnPath;
use crate::sender::Sender;
use crate::types::fields::{WrongData, header_text};
use crate::types::written::Occasion;
use crate::types::{MailType, MailTypes};
use crate::watched::Types;

/// What templates of the welcome mail call the recipient's name.
const USERNAME: &str = "username";

/// Values in a task's data that are written in no time worth speaking of.
const FEW: usize = 200;

/// What all mails have in common.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// The sender, in the envelope and in `From`. A type may have another in `From`, a renderer another in the envelope.
    pub from: Sender,
    /// What the product calls itself in its mails.
    pub product: String,
}

/// A mail that somebody wants to have sent.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its type; `None` is the welcome mail.
    pub kind: Option<&'a str>,
    /// Who it is for.
    pub email: &'a EmailAddress,
    /// Their name, for the `To` header and the templates' `name`.
    pub name: Option<&'a str>,
    /// A language tag (BCP 47), as given.
    pub locale: Option<&'a str>,
    /// What the templates print.
    pub data: &'a Map<String, Value>,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("kind", &self.kind).field("locale", &self.locale).finish_non_exhaustive()
    }
}

/// A template can't be used with these values. Later tries would not change it, unless the files do. Says nothing of the values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("writing the mail: {kind}: {file}:{line}: {what}")]
pub struct TemplateError {
    /// The type of the mail.
    pub kind: String,
    /// The file of the template.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What went wrong there.
    pub what: String,
}

/// Why a mail can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// There is no type of this name, yet: a file may bring it.
    #[error("there is no mail type {0:?}")]
    UnknownType(String),
    /// The data is not what the type asks for.
    #[error("writing the mail: {0}")]
    WrongData(#[from] WrongData),
    /// A template did not bear the data.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// It could not be signed.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
}

/// Makes mails. Templates are read when their set is, not for each mail.
pub struct Renderer {
    types: Types,
    builder: MessageBuilder,
    product: Shown,
    sender: String,
    return_path: Option<ReturnPath>,
    dkim: Option<Dkim>,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").finish_non_exhaustive()
    }
}

impl Renderer {
    /// A renderer for one sender, with the built-in types alone.
    ///
    /// # Errors
    /// None: the built-in types' tests read them.
    pub fn new(options: MailOptions) -> Result<Self, Problems> {
        Ok(Self::with_types(options, MailTypes::built_in()?))
    }

    /// A renderer for one sender, with these types: a set, or one that changes with its files ([`Watched::types`]).
    ///
    /// [`Watched::types`]: crate::Watched::types
    pub fn with_types(options: MailOptions, types: impl Into<Types>) -> Self {
        Self {
            types: types.into(),
            builder: MessageBuilder::new(&options.from),
            product: Shown::from(options.product),
            sender: options.from.ascii_address(),
            return_path: None,
            dkim: None,
        }
    }

    /// With bounces that go there instead of to the sender, unless a type says otherwise.
    #[must_use]
    pub fn returning_to(self, return_path: Option<ReturnPath>) -> Self {
        Self { return_path, ..self }
    }

    /// With a signature on each mail.
    #[must_use]
    pub fn signed_by(self, dkim: Option<Dkim>) -> Self {
        Self { dkim, ..self }
    }

    /// The types as they are now.
    pub fn types(&self) -> Arc<MailTypes> {
        self.types.current()
    }

    /// Whether the mail of this task may take so long to write that other work should not stand behind it: MJML or `<style>` that depends
    /// on the data, a text made of the HTML, a long list.
    pub fn may_take_long(&self, task: &MailTask) -> bool {
        let types = self.types.current();
        let is_costly = types.get(task.mail_type.as_str()).is_some_and(MailType::is_costly);
        is_costly || task.data.values().try_fold(FEW, fewer).is_none()
    }

    /// The mail of one task. `now` becomes its `Date`.
    ///
    /// # Errors
    /// [`Unwritable`]; only an unknown type may become known later.
    pub fn render(&self, task: &MailTask, id: TaskId, now: OffsetDateTime) -> Result<Rendered, Unwritable> {
        let MailTask { mail_type, email, name, locale, data } = task;
        let mut request =
            Request { kind: Some(mail_type.as_str()), email, name: name.as_deref(), locale: locale.as_deref(), data };
        let with_username = with_username(task);
        if let Some(data) = &with_username {
            (request.name, request.data) = (None, data);
        }
        self.render_request(&request, id, now)
    }

    /// The mail that somebody asks for. `now` becomes its `Date`.
    ///
    /// # Errors
    /// [`Unwritable`]; only an unknown type may become known later.
    pub fn render_request(
        &self,
        request: &Request<'_>,
        id: TaskId,
        now: OffsetDateTime,
    ) -> Result<Rendered, Unwritable> {
        let types = self.types.current();
        let name = request.kind.filter(|kind| !kind.is_empty()).unwrap_or(TYPE_WELCOME);
        let unknown = || Unwritable::UnknownType(name.to_owned());
        let kind = types.get(name).ok_or_else(unknown)?;
        let language = kind.pick(request.locale).ok_or_else(unknown)?;
        let data = kind.check(request.data)?;
        let to = request.name.map(header_text);
        let to = to.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let occasion = Occasion { product: &self.product, email: request.email.as_str(), name: to, data: &data };
        let written = types.write(kind, language, &occasion).map_err(|failure| TemplateError {
            kind: kind.name().to_string(),
            file: failure.file,
            line: failure.line,
            what: failure.what,
        })?;
        let return_path = kind.return_path().or(self.return_path.as_ref());
        let sender = return_path.map_or_else(|| self.sender.clone(), |path| path.of(id));
        let envelope = Envelope::new(sender, request.email);
        let message =
            Message { id, envelope: &envelope, name: to, date: now, headers: kind.headers(), written: &written };
        let wire = self.signed(self.builder.build(&message))?;
        let private = match to {
            Some(to) => Cow::Owned(format!("{}{to}", data.texts())),
            None => Cow::Borrowed(data.texts()),
        };
        Ok(Rendered { task: id, envelope, private: private.into_owned(), written, wire })
    }
}

/// What is left of so many values without this one and those within it; `None` when they are more.
fn fewer(left: usize, value: &Value) -> Option<usize> {
    let left = left.checked_sub(1)?;
    match value {
        Value::Array(items) => items.iter().try_fold(left, fewer),
        Value::Object(members) => members.values().try_fold(left, fewer),
        _ => Some(left),
    }
}

impl MailTypes {
    /// Whether a mail can be written of this task, as far as its type and its fields tell: what a producer can know before.
    ///
    /// # Errors
    /// [`Unwritable`]
    pub fn admit(&self, task: &MailTask) -> Result<(), Unwritable> {
        let name = task.mail_type.as_str();
        let mail_type = self.get(name).ok_or_else(|| Unwritable::UnknownType(name.to_owned()))?;
        mail_type.check(with_username(task).as_ref().unwrap_or(&task.data))?;
        Ok(())
    }
}

/// The data of a welcome mail, which has always called the name so.
fn with_username(task: &MailTask) -> Option<Map<String, Value>> {
    let name = task.name.as_deref().filter(|_| task.mail_type.is_welcome())?;
    Some(with(&task.data, USERNAME, name))
}

impl Renderer {
    fn signed(&self, wire: String) -> Result<String, Unsigned> {
        let Some(dkim) = &self.dkim else { return Ok(wire) };
        let mail = wire.strip_suffix(END).unwrap_or(&wire);
        Ok(dkim.sign(mail.as_bytes())? + &wire)
    }
}

/// What the task's own data says of that field comes first.
fn with(data: &Map<String, Value>, field: &str, text: &str) -> Map<String, Value> {
    let mut data = data.clone();
    data.entry(field).or_insert_with(|| text.into());
    data
}
