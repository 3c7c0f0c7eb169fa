//! A body of JSON, read member by member, so that everything that is wrong with it is told at once.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{FieldError, Kind, Problem, Refused};

/// Unknown fields named one by one; more are only counted.
pub const UNKNOWN: usize = 16;

/// The one value that a body is, not looked at any closer.
///
/// # Errors
/// [`Kind::MALFORMED_JSON`]
pub fn value(body: &[u8]) -> Result<&RawValue, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(format!("it is not UTF-8 at byte {}", error.valid_up_to())))?;
    if text.trim_ascii().is_empty() {
        return Err(malformed("it is empty".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| malformed(at(&error)))
}

fn malformed(detail: String) -> Problem {
    Problem::new(Kind::MALFORMED_JSON).detail(detail)
}

fn at(error: &serde_json::Error) -> String {
    format!("at line {}, column {}", error.line(), error.column())
}

/// What is wrong with the fields.
pub fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem::new(Kind::VALIDATION_FAILED).errors(errors)
}

/// The members of an object in their order, names decoded, values not looked at: so that one bad value hides no other.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Members)
    }
}

/// The members of an object that nobody has asked for yet, and what was wrong with the others.
#[derive(Debug)]
pub struct Fields<'a> {
    members: Vec<(String, &'a RawValue)>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// Those of this value.
    ///
    /// # Errors
    /// [`Kind::VALIDATION_FAILED`] if it is no object; [`Kind::MALFORMED_JSON`].
    pub fn of(value: &'a RawValue) -> Result<Self, Problem> {
        if !value.get().starts_with('{') {
            return Err(invalid(vec![FieldError::body("must be an object")]));
        }
        let Members(members) = serde_json::from_str(value.get()).map_err(|error| malformed(at(&error)))?;
        Ok(Self { members, errors: Vec::new() })
    }

    /// A text that has to be there.
    pub fn required<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, Refused>) -> Option<T> {
        let raw = self.required_value(name)?;
        self.parse(name, raw, parse)
    }

    /// A text. Absent and null are the same.
    pub fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, Refused>) -> Option<T> {
        let raw = self.optional_value(name)?;
        self.parse(name, raw, parse)
    }

    /// Anything, which has to be there.
    pub fn required_value(&mut self, name: &str) -> Option<&'a RawValue> {
        match self.take(name) {
            Ok(Some(raw)) => Some(raw),
            Ok(None) => self.wrong(name, "is required"),
            Err(Twice) => None,
        }
    }

    /// Anything. Absent and null are the same.
    pub fn optional_value(&mut self, name: &str) -> Option<&'a RawValue> {
        self.take(name).ok().flatten().filter(|raw| raw.get() != "null")
    }

    fn parse<T>(&mut self, name: &str, raw: &RawValue, parse: impl FnOnce(&str) -> Result<T, Refused>) -> Option<T> {
        if !raw.get().starts_with('"') {
            return self.wrong(name, "must be a string");
        }
        let Ok(text) = serde_json::from_str::<String>(raw.get()) else {
            return self.wrong(name, "has an escape that stands for no character, such as half of a surrogate pair");
        };
        if text.contains('\0') {
            return self.wrong(name, "must not contain NUL");
        }
        match parse(&text) {
            Ok(value) => Some(value),
            Err(Refused(why)) => self.wrong(name, why),
        }
    }

    fn take(&mut self, name: &str) -> Result<Option<&'a RawValue>, Twice> {
        let mut found = self.members.extract_if(.., |(known, _)| known == name).map(|(_, raw)| raw);
        let first = found.next();
        let twice = found.next().is_some();
        found.for_each(drop);
        if twice {
            self.wrong::<()>(name, "appears more than once");
            return Err(Twice);
        }
        Ok(first)
    }

    /// This field is not valid, for this reason.
    pub fn wrong<T>(&mut self, name: &str, why: impl Into<Cow<'static, str>>) -> Option<T> {
        self.errors.push(FieldError::field(name, why));
        None
    }

    /// Something within this field is not valid, at the end of this way.
    pub fn wrong_within<T>(&mut self, name: &str, way: &[String], why: impl Into<Cow<'static, str>>) -> Option<T> {
        let way: Vec<&str> = std::iter::once(name).chain(way.iter().map(String::as_str)).collect();
        self.errors.push(FieldError::at(&way, why));
        None
    }

    /// All that was wrong; what nobody asked for is, too.
    pub fn finish(mut self) -> Vec<FieldError> {
        let more = self.members.len().saturating_sub(UNKNOWN);
        for (name, _) in self.members.iter().take(UNKNOWN) {
            self.errors.push(FieldError::field(name, "is not known here"));
        }
        if more > 0 {
            self.errors.push(FieldError::body(format!("has {more} more unknown fields")));
        }
        self.errors
    }
}

struct Twice;
