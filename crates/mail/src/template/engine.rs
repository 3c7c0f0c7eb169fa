//! The template language as mails have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Object, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, escape_formatter};

use super::filters;

/// Steps that one part of a mail may take: a step of the template, or 64 bytes that it makes. What needs more would hold the worker up,
/// or take its memory: a loop within a loop, a text that is doubled again and again.
pub(crate) const STEPS: u64 = 1_000_000;

/// Strict about what is not there; escapes what goes into markup; knows our filters.
pub(crate) fn new() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    // Errors of debug builds would carry the values, too.
    engine.set_debug(false);
    engine.set_fuel(Some(STEPS));
    engine.set_auto_escape_callback(|name| {
        if name.ends_with(".html") || name.ends_with(".mjml") { AutoEscape::Html } else { AutoEscape::None }
    });
    // An optional field that a task does not have prints as nothing.
    engine
        .set_formatter(|out, state, value| if value.is_none() { Ok(()) } else { escape_formatter(out, state, value) });
    filters::add(&mut engine);
    engine
}

/// What the templates of one mail see.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) product: Value,
    pub(crate) name: Value,
    pub(crate) email: Value,
    pub(crate) locale: Value,
    pub(crate) dir: &'static str,
    /// Once it is written; the template of the subject does not have it.
    pub(crate) subject: Option<Value>,
    pub(crate) data: Arc<BTreeMap<String, Value>>,
}

impl Scene {
    /// What the other templates see.
    pub(crate) fn with_subject(self, subject: &str) -> Self {
        Self { subject: Some(Value::from(subject)), ..self }
    }
}

impl Object for Scene {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "product" => Some(self.product.clone()),
            "name" => Some(self.name.clone()),
            "email" => Some(self.email.clone()),
            "locale" => Some(self.locale.clone()),
            "dir" => Some(Value::from(self.dir)),
            "subject" => self.subject.clone(),
            field => self.data.get(field).cloned(),
        }
    }
}
