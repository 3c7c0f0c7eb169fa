//! Mail types of files, for measurements: what `mails init` writes, and the built-in mail as a type of its own.

use std::fs;

use amqp::Outgoing;
use contract::{MailTask, TaskId};
use serde_json::{Map, Value};
use testkit::Dir;

use crate::task::task_of;

const HTML: &str = include_str!("../../../crates/mail/src/built_in/email.welcome.en.html");
const TEXT: &str = include_str!("../../../crates/mail/src/built_in/email.welcome.en.txt");
const SUBJECT: &str = include_str!("../../../crates/mail/src/built_in/email.welcome.en.subject");

/// The mail that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// The built-in mail.
    BuiltIn,
    /// The same words as an own type, with a layout around them.
    Layout,
    /// The type that `mails init` writes: half as long again, with a list, a date and numbers.
    Starter,
}

impl Measured {
    /// What a report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "the built-in type",
            Self::Layout => "the same words with a layout",
            Self::Starter => "the type of `mails init`",
        }
    }

    /// A task for it, to a recipient of this name at example.com.
    ///
    /// # Panics
    /// When the name can't stand in an address.
    pub fn task(self, name: &str) -> Outgoing {
        let (mail_type, data) = match self {
            Self::BuiltIn => ("email.welcome", Map::new()),
            Self::Layout => ("own.welcome", Map::new()),
            Self::Starter => ("order.shipped", order()),
        };
        let mail = MailTask {
            mail_type: mail_type.parse().unwrap(),
            email: format!("{name}@example.com").parse().unwrap(),
            name: Some(name.to_owned()),
            locale: None,
            data,
        };
        task_of(TaskId::new(), &mail)
    }
}

fn order() -> Map<String, Value> {
    let data = serde_json::json!({
        "customer": "Ada Lovelace", "order": "A-1815", "total": 1234.5, "arrives": "2026-12-10",
        "track": "https://shop.example.com/track/A-1815",
        "items": [{"name": "Analytical engine, kit", "count": 1}, {"name": "Punched cards", "count": 500}],
        "note": "The cards come first.\nThe engine takes a little longer.",
    });
    data.as_object().cloned().unwrap()
}

/// The files of both own types.
///
/// # Panics
/// When they can't be written.
pub fn own_types() -> Dir {
    let dir = Dir::new("mail-types");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    for (name, text) in mail::starter_files() {
        write(name, text);
    }
    let (_, body) = HTML.split_once("<div ").unwrap();
    let (body, _) = body.split_once('>').unwrap().1.split_once("</div>").unwrap();
    write("own.welcome.toml", "");
    write("own.welcome.en.subject", &words(SUBJECT));
    write("own.welcome.en.txt", &words(TEXT));
    write("own.welcome.en.html", &words(body));
    dir
}

/// The recipient's name is a field of the built-in mail, and known to all others.
fn words(template: &str) -> String {
    template.replace("username", "name")
}
