//! What `TYPE.toml` says.

mod reading;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::language::Language;
use crate::return_path::ReturnPath;
use crate::sender::Sender;

pub(crate) use reading::read;

/// Names that templates know without a field.
pub(crate) const KNOWN: [&str; 6] = ["product", "name", "email", "locale", "dir", "subject"];

/// How urgent mails of a type are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// In the order of their coming.
    #[default]
    Normal,
    /// Before the normal ones.
    High,
}

/// A template in `TYPE.toml`, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inline {
    pub(crate) source: String,
    pub(crate) line: usize,
}

/// Data for checks and previews.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Samples {
    pub(crate) common: Map<String, Value>,
    pub(crate) by_language: BTreeMap<Language, Map<String, Value>>,
}

impl Samples {
    /// The common sample, with what the nearest language has instead.
    pub(crate) fn in_language(&self, language: &Language) -> Map<String, Value> {
        let mut sample = self.common.clone();
        if let Some(own) = language.fallbacks().find_map(|tag| self.by_language.get(tag)) {
            sample.extend(own.clone());
        }
        sample
    }
}

/// A type without its templates.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) fields: Fields,
    pub(crate) samples: Samples,
    pub(crate) expires_after: Option<Duration>,
    pub(crate) priority: Priority,
    pub(crate) from: Option<Sender>,
    pub(crate) reply_to: Option<Sender>,
    pub(crate) return_path: Option<ReturnPath>,
    pub(crate) suppressible: bool,
    pub(crate) default_locale: Language,
    pub(crate) list_unsubscribe: Option<Inline>,
}

impl Default for Definition {
    fn default() -> Self {
        Self {
            fields: Fields::new(),
            samples: Samples::default(),
            expires_after: None,
            priority: Priority::default(),
            from: None,
            reply_to: None,
            return_path: None,
            suppressible: true,
            default_locale: Language::english(),
            list_unsubscribe: None,
        }
    }
}
