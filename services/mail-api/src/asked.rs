//! What a client asks for, read into types: a value of these is a mail that the worker can read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use contract::{EmailAddress, InvalidEmailAddress, LocaleTag, MAX_BODY, MailTask, NotUnique, TypeName, Unique};
use mail::{MailTypes, Unwritable};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use utoipa::ToSchema;
use web::json::{Fields, invalid};
use web::{FieldError, Problem, Refused};

use crate::error::TYPE_NOT_ALLOWED;
use crate::keys::Scope;

/// Mails of one batch at most.
pub const LARGEST_BATCH: usize = 500;
/// Longest name of a recipient, in characters, as the worker takes it.
const MAX_NAME: usize = 256;

/// A mail as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Mail)]
#[expect(dead_code, reason = "describes what `Rules::read` reads; a test holds the two together")]
pub(crate) struct MailBody {
    /// Which mail: a name such as `email.welcome`, in parts between dots.
    #[schema(
        example = "order.shipped",
        max_length = 100,
        pattern = r"^[A-Za-z0-9-][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$"
    )]
    r#type: String,
    /// The address of the recipient. At most 254 bytes.
    #[schema(example = "ada@example.com", format = "idn-email", max_length = 254)]
    recipient: String,
    /// What the recipient is called; `email.welcome` needs it.
    #[schema(example = "Ada", min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: Option<String>,
    /// The language of the mail, as a language tag. One that the type is not written in becomes the type's default.
    #[schema(example = "en", max_length = 35, pattern = "^[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*$")]
    locale: Option<String>,
    /// What the texts of the mail speak of. With everything else at most 65,536 bytes.
    #[schema(example = json!({"order": "A-1017", "total": "49.90"}))]
    data: Option<BTreeMap<String, Value>>,
    /// The mail is of no use after this, and is not sent then; RFC 3339, not in the past.
    #[schema(example = "2099-12-31T23:59:59Z", format = "date-time")]
    expires_at: Option<String>,
    /// Whether it goes before others. Without it what the type says, or `normal`.
    priority: Option<Priority>,
}

/// How urgent a mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// In the order of their coming.
    Normal,
    /// Before the normal ones.
    High,
}

impl Priority {
    /// In the outbox.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl From<mail::Priority> for Priority {
    fn from(priority: mail::Priority) -> Self {
        match priority {
            mail::Priority::Normal => Self::Normal,
            mail::Priority::High => Self::High,
        }
    }
}

/// A mail that can be taken.
#[derive(Clone)]
pub struct Asked {
    /// For the worker.
    pub task: MailTask,
    /// The task as it is written.
    pub body: Vec<u8>,
    /// It is of no use after that.
    pub expires_at: Option<OffsetDateTime>,
    /// How urgent it is.
    pub priority: Priority,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("task", &self.task).field("priority", &self.priority).finish_non_exhaustive()
    }
}

/// What mails are held to.
#[derive(Debug)]
pub struct Rules<'a> {
    /// The types that this caller may ask for.
    pub scope: &'a Scope,
    /// The types that there are; `None`: nobody here knows them.
    pub types: Option<Arc<MailTypes>>,
    /// What is before is past.
    pub now: OffsetDateTime,
}

impl Rules<'_> {
    /// Reads one mail, and finds everything that is wrong with it.
    ///
    /// # Errors
    /// [`TYPE_NOT_ALLOWED`]; [`web::Kind::VALIDATION_FAILED`] with every field that is not valid.
    pub fn read(&self, value: &RawValue) -> Result<Asked, Problem> {
        let mut fields = Fields::of(value)?;
        let mail_type: Option<TypeName> =
            fields.required("type", |text| text.parse().map_err(|_| "must be a name such as email.welcome: letters, digits, - and _, in parts between dots, at most 100 bytes".into()));
        if let Some(mail_type) = mail_type.as_ref().filter(|mail_type| !self.scope.allows(mail_type)) {
            return Err(Problem::new(TYPE_NOT_ALLOWED).detail(format!("the type is {mail_type}")));
        }
        let email = fields.required("recipient", recipient);
        let needs_name = mail_type.as_ref().is_some_and(TypeName::is_welcome);
        let name = if needs_name { fields.required("name", name) } else { fields.optional("name", name) };
        let locale = fields.optional("locale", |text| text.parse::<LocaleTag>().map_err(Refused::because));
        let data = data(&mut fields);
        let expires_at = fields.optional("expires_at", |text| self.moment(text));
        let priority = fields.optional("priority", priority);
        let errors = fields.finish();
        let (Some(mail_type), Some(email), Some(data)) = (mail_type, email, data) else { return Err(invalid(errors)) };
        if !errors.is_empty() {
            return Err(invalid(errors));
        }
        let locale = locale.map(|tag| tag.as_str().to_owned());
        let task = MailTask { mail_type, email, name, locale, data };
        let usual = self.fits(&task)?;
        let body = written(&task)?;
        Ok(Asked { task, body, expires_at, priority: priority.unwrap_or(usual) })
    }

    fn moment(&self, text: &str) -> Result<OffsetDateTime, Refused> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok().and_then(|at| at.checked_to_offset(UtcOffset::UTC));
        let at = at.ok_or("must be a moment such as 2026-11-28T12:00:00Z")?;
        if at <= self.now { Err("lies in the past: the mail would never be sent".into()) } else { Ok(at) }
    }

    /// Whether its type is there and asks for what it has; returns how urgent its mails are.
    fn fits(&self, task: &MailTask) -> Result<Priority, Problem> {
        let Some(types) = &self.types else { return Ok(Priority::Normal) };
        match types.admit(task) {
            Ok(()) => Ok(types.get(task.mail_type.as_str()).map_or(Priority::Normal, |known| known.priority().into())),
            Err(Unwritable::WrongData(wrong)) => {
                Err(invalid(vec![FieldError::at(&["data", &wrong.field], wrong.what)]))
            }
            Err(_) => Err(invalid(vec![FieldError::field("type", self.unknown(types))])),
        }
    }

    /// Names what there is, as far as this caller may ask for it.
    fn unknown(&self, types: &MailTypes) -> String {
        let known = types.iter().map(mail::MailType::name).filter(|name| self.scope.allows(name));
        let known: Vec<_> = known.map(TypeName::as_str).collect();
        format!("is not known here; there is {}", known.join(", "))
    }
}

fn recipient(text: &str) -> Result<EmailAddress, Refused> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    text.parse().map_err(|why: InvalidEmailAddress| Refused::because(why))
}

fn name(text: &str) -> Result<String, Refused> {
    if !(1..=MAX_NAME).contains(&text.chars().count()) {
        return Err("must be 1 to 256 characters long".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must not have control characters".into());
    }
    Ok(text.to_owned())
}

fn priority(text: &str) -> Result<Priority, Refused> {
    match text {
        "normal" => Ok(Priority::Normal),
        "high" => Ok(Priority::High),
        _ => Err("must be normal or high".into()),
    }
}

fn data(fields: &mut Fields<'_>) -> Option<Map<String, Value>> {
    let Some(raw) = fields.optional_value("data") else { return Some(Map::new()) };
    if !raw.get().starts_with('{') {
        return fields.wrong("data", "must be an object");
    }
    match Unique::read(raw.get()) {
        Ok(Value::Object(data)) => Some(data),
        Err(NotUnique::Repeated(way)) => fields.wrong_within("data", &way, "appears more than once"),
        Ok(_) | Err(NotUnique::Unreadable(_)) => fields.wrong(
            "data",
            "can't be read: it is nested too deep, or has a number or an escape that stands for nothing",
        ),
    }
}

/// As the worker will read it: what it could not read is refused here, where somebody hears of it.
fn written(task: &MailTask) -> Result<Vec<u8>, Problem> {
    let body = task.encode();
    if body.len() > MAX_BODY {
        let detail = format!("is larger than {MAX_BODY} bytes as a task: leave something out of it");
        return Err(invalid(vec![FieldError::field("data", detail)]));
    }
    match MailTask::decode(Some(task.mail_type.as_str()), &body) {
        Ok(_) => Ok(body),
        Err(why) => Err(invalid(vec![FieldError::field("data", format!("can't be sent: {why}"))])),
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(body: &str) -> Result<Asked, Vec<String>> {
        let types = Some(Arc::new(MailTypes::built_in().unwrap()));
        held(body, &Scope::default(), types)
    }

    /// The pointers of what is wrong, or the slug where there are none.
    fn held(body: &str, scope: &Scope, types: Option<Arc<MailTypes>>) -> Result<Asked, Vec<String>> {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let rules = Rules { scope, types, now };
        rules.read(serde_json::from_str(body).unwrap()).map_err(|problem| {
            let json: Value = serde_json::from_slice(&problem.json("")).unwrap();
            let errors = json["errors"].as_array().cloned().unwrap_or_default();
            if errors.is_empty() {
                return vec![problem.kind().slug().to_owned()];
            }
            errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
        })
    }

    #[test]
    fn a_mail_is_read_and_the_worker_reads_the_same() {
        let body = r#"{"type":"shop.receipt","recipient":"ada@example.com","name":"Ada","locale":"de","data":{"n":1.50},
                       "expires_at":"2030-01-01T00:00:00+02:00","priority":"high"}"#;
        let asked = held(body, &Scope::default(), None).unwrap();
        assert_eq!(MailTask::decode(Some("shop.receipt"), &asked.body), Ok(asked.task));
        assert_eq!((asked.priority, asked.expires_at.unwrap().unix_timestamp()), (Priority::High, 1_893_448_800));
        let plain = held(
            r#"{"type":"a","recipient":"a@b.c","name":null,"data":null,"priority":null}"#,
            &Scope::default(),
            None,
        );
        assert_eq!(plain.unwrap().priority, Priority::Normal);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let deep = format!(r#"{{"type":"email.welcome","name":"a","recipient":"a@b.c","data":{{"x":{deep}}}}}"#);
        let nearly = format!("{}{}", "[".repeat(126), "]".repeat(126));
        let nearly = format!(r#"{{"type":"email.welcome","name":"a","recipient":"a@b.c","data":{{"x":{nearly}}}}}"#);
        let large = "a".repeat(MAX_BODY);
        let large = format!(r#"{{"type":"email.welcome","name":"a","recipient":"a@b.c","data":{{"x":"{large}"}}}}"#);
        for (body, wrong) in [
            ("{}", &["/type", "/recipient"][..]),
            ("[]", &[""]),
            (
                r#"{"type":"a b","recipient":"x","name":"","locale":"-","data":[],"expires_at":"x","priority":"low"}"#,
                &["/type", "/recipient", "/name", "/locale", "/data", "/expires_at", "/priority"],
            ),
            (r#"{"type":1,"recipient":[],"data":"x","to":"y"}"#, &["/type", "/recipient", "/data", "/to"]),
            (r#"{"type":"email.welcome","recipient":"a@b.c"}"#, &["/name"]),
            (r#"{"type":"email.welcome","name":"a\nb","recipient":"a@b.c\r\nBcc: d@e.f"}"#, &["/recipient", "/name"]),
            (
                r#"{"type":"email.welcome","name":"a","recipient":"a@b.c","expires_at":"2027-01-15T08:00:00Z"}"#,
                &["/expires_at"],
            ),
            // The year 10000 in UTC.
            (
                r#"{"type":"email.welcome","name":"a","recipient":"a@b.c","expires_at":"9999-12-31T23:59:59-00:01"}"#,
                &["/expires_at"],
            ),
            (r#"{"type":"email.welcome","name":"a","recipient":"a@b.c","data":{"x":1e999}}"#, &["/data"]),
            (r#"{"type":"order.paid","recipient":"a@b.c"}"#, &["/type"]),
            (r#"{"type":"email.welcome","name":"a","recipient":"a@b.c","data":{"username":7}}"#, &["/data/username"]),
            (
                r#"{"type":"email.welcome","name":"a","recipient":"a@b.c","data":{"i":[{"n/m":1,"n/m":2}]}}"#,
                &["/data/i/0/n~1m"],
            ),
            (&deep, &["/data"]),
            (&nearly, &["/data"]),
            (&large, &["/data"]),
        ] {
            assert_eq!(read(body).unwrap_err(), wrong, "{}", body.get(..100).unwrap_or(body));
        }
        assert!(read(r#"{"type":"email.welcome","name":"a","recipient":"a@b.c"}"#).is_ok());
    }

    #[test]
    fn a_type_out_of_scope_is_refused_before_anything_is_told_of_the_others() {
        let scope = Scope::of(["order.paid".parse().unwrap()]);
        let types = || Some(Arc::new(MailTypes::built_in().unwrap()));
        let body = r#"{"type":"email.welcome","recipient":"nobody"}"#;
        assert_eq!(held(body, &scope, types()).unwrap_err(), ["type-not-allowed"]);
        let rules = Rules { scope: &scope, types: types(), now: OffsetDateTime::UNIX_EPOCH };
        let unknown = rules.read(serde_json::from_str(r#"{"type":"order.paid","recipient":"a@b.c"}"#).unwrap());
        let told = String::from_utf8(unknown.unwrap_err().json("")).unwrap();
        assert!(told.contains("is not known here") && !told.contains("email.welcome"), "{told}");
    }
}
