//! JSON in which no object has a name twice.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// A value none of whose objects has a name twice. Which of the two was meant nobody knows: readers take the first, the last, or one
/// each, and a mail with the wrong one of two amounts can't be called back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unique(pub Value);

/// Why a text is no such value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotUnique {
    /// A name stands twice: the way to it, from the outside in.
    Repeated(Vec<String>),
    /// It is not JSON, or more than can be held: what the reader says of it.
    Unreadable(String),
}

impl Unique {
    /// Reads a text.
    ///
    /// # Errors
    /// [`NotUnique`]
    pub fn read(json: &str) -> Result<Value, NotUnique> {
        let mut way = Vec::new();
        let mut reader = serde_json::Deserializer::from_str(json);
        let read = Once(&mut way).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        way.reverse();
        read.map_err(|error| if error.is_data() { NotUnique::Repeated(way) } else { unreadable(&error) })
    }
}

fn unreadable(error: &serde_json::Error) -> NotUnique {
    NotUnique::Unreadable(error.to_string())
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Once(&mut Vec::new()).deserialize(deserializer).map(Self)
    }
}

/// Reads one value. When a name stands twice in it, the way there is left behind, from the inside out: a value that is good costs no more
/// than it would otherwise.
struct Once<'w>(&'w mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Once<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which no object has a name twice")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        loop {
            match items.next_element_seed(Once(self.0)) {
                Ok(Some(item)) => all.push(item),
                Ok(None) => return Ok(Value::Array(all)),
                Err(error) => {
                    self.0.push(all.len().to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if all.contains_key(&name) {
                self.0.push(name);
                return Err(Error::custom("a name stands twice in one object"));
            }
            match members.next_value_seed(Once(self.0)) {
                Ok(value) => all.insert(name, value),
                Err(error) => {
                    self.0.push(name);
                    return Err(error);
                }
            };
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_each_name_once_is_read_as_ever() {
        for json in [
            "null",
            "true",
            "-7",
            "18446744073709551615",
            "12345678901234567890123",
            "1.50",
            "-0.0",
            r#""a\u00e9\ud83d\ude00""#,
            r#"[{"a":1},{"a":1},[]]"#,
            r#"{"a":{"a":{"a":null}},"A":1,"":2}"#,
        ] {
            assert_eq!(Unique::read(json), Ok(serde_json::from_str(json).expect("valid")), "{json}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_told_with_the_way_to_it() {
        for (json, way) in [
            (r#"{"a":1,"a":1}"#, &["a"][..]),
            (r#"{"a":1,"\u0061":2}"#, &["a"]),
            (r#"{"items":[{"n":1},{"n":1,"b":{},"n":2}]}"#, &["items", "1", "n"]),
            (r#"{"x":{"":0,"":0},"x":1}"#, &["x", ""]),
        ] {
            let way = way.iter().map(|part| (*part).to_owned()).collect();
            assert_eq!(Unique::read(json), Err(NotUnique::Repeated(way)), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_called_repeated() {
        let deep = "[".repeat(200);
        for json in ["", "{", r#"{"a":1,}"#, r#"{"a":1e999}"#, r#""\ud800""#, "1 2", deep.as_str()] {
            assert!(matches!(Unique::read(json), Err(NotUnique::Unreadable(_))), "{json}");
        }
    }
}
