//! What a type asks of a task's data, and the data once it was checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value as Shown;
use serde_json::{Map, Value};

use super::dates;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text. On one line: control characters and ends of lines become blanks.
    Text,
    /// A text that keeps its lines.
    Lines,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A date (`2026-11-28`) or a time with its offset (`2026-11-28T12:00:00Z`), as in RFC 3339.
    Date,
    /// An absolute URL, http or https, at most 2,000 bytes, in ASCII.
    Url,
    /// A list of anything.
    List,
    /// An object with any fields.
    Object,
}

impl Kind {
    const ALL: [Self; 8] =
        [Self::Text, Self::Lines, Self::Number, Self::Boolean, Self::Date, Self::Url, Self::List, Self::Object];

    /// What `TYPE.toml` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Lines => "lines",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Url => "url",
            Self::List => "list",
            Self::Object => "object",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What was expected, to end a sentence with.
    fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Lines => "must be a text",
            Self::Number => "must be a number",
            Self::Boolean => "must be true or false",
            Self::Date => "must be a date such as 2026-11-28 or 2026-11-28T12:00:00Z",
            Self::Url => "must be a URL that begins with https:// or http://, ASCII, at most 2000 bytes",
            Self::List => "must be a list",
            Self::Object => "must be an object",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text | Self::Lines, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::List, Value::Array(_))
            | (Self::Object, Value::Object(_)) => true,
            (Self::Date, Value::String(text)) => dates::When::parse(text).is_some(),
            (Self::Url, Value::String(text)) => is_url(text),
            _ => false,
        }
    }
}

/// One field of a type's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// What it holds.
    pub kind: Kind,
    /// Whether every task must have it.
    pub required: bool,
}

/// All fields of a type, by name.
pub type Fields = BTreeMap<String, Field>;

/// Why a task's data is not what its type asks for. Names the field, and never says what stood in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the field `{field}` {what}")]
pub struct WrongData {
    /// The name, as `TYPE.toml` has it.
    pub field: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Data that fits its type.
#[derive(Clone)]
pub struct Data {
    values: Arc<BTreeMap<String, Shown>>,
    texts: String,
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("fields", &self.values.len()).finish_non_exhaustive()
    }
}

impl Data {
    /// Checks `data`. Fields that the type does not name are left out: producers may be ahead of their mails.
    ///
    /// # Errors
    /// The first field, by name, that is missing or of another kind.
    pub(super) fn check(fields: &Fields, data: &Map<String, Value>) -> Result<Self, WrongData> {
        let mut values = BTreeMap::new();
        let mut texts = String::new();
        for (name, field) in fields {
            let wrong = |what| WrongData { field: name.clone(), what };
            let value = match data.get(name) {
                None | Some(Value::Null) if field.required => return Err(wrong("is missing")),
                // Not undefined: `{% if note %}` is how a template asks for it.
                None | Some(Value::Null) => Shown::from(()),
                Some(value) if field.kind.fits(value) => shown(value, field.kind == Kind::Lines, &mut texts),
                Some(_) => return Err(wrong(field.kind.expected())),
            };
            values.insert(name.clone(), value);
        }
        Ok(Self { values: Arc::new(values), texts })
    }

    pub(crate) fn values(&self) -> &Arc<BTreeMap<String, Shown>> {
        &self.values
    }

    /// All its texts, between blanks.
    pub(crate) fn texts(&self) -> &str {
        &self.texts
    }
}

/// A value as templates see it. Texts are noted in `texts`.
fn shown(value: &Value, lines: bool, texts: &mut String) -> Shown {
    match value {
        Value::String(text) => {
            texts.push_str(text);
            texts.push(' ');
            Shown::from(if lines { with_lines(text) } else { one_line(text).into_owned() })
        }
        Value::Array(items) => items.iter().map(|item| shown(item, lines, texts)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), shown(value, lines, texts)));
            Shown::from(fields.collect::<BTreeMap<_, _>>())
        }
        Value::Null => Shown::from(()),
        Value::Bool(truth) => Shown::from(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Shown::from(whole),
            (None, Some(whole), _) => Shown::from(whole),
            (None, None, part) => part.map_or_else(|| Shown::from(()), Shown::from),
        },
    }
}

fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A text that would begin a new line anywhere does not.
pub(crate) fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(breaks) { text.replace(breaks, " ").into() } else { text.into() }
}

/// The same for a header's text, in which a value must not turn around what stands behind it: the address, behind a name.
pub(crate) fn header_text(text: &str) -> String {
    one_line(text).replace(['\u{202d}', '\u{202e}'], "")
}

/// Lines are ended as on the wire; other control characters become blanks.
fn with_lines(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n");
    lines.split('\n').map(one_line).collect::<Vec<_>>().join("\r\n")
}

/// Strict, because it becomes a link: what is no URL to one reader may be another's script.
pub(crate) fn is_url(text: &str) -> bool {
    const MAX: usize = 2_000;
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let Some(rest) =
        ["https://", "http://"].iter().find_map(|scheme| lower.starts_with(scheme).then(|| &text[scheme.len()..]))
    else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    text.len() <= MAX
        && !host.is_empty()
        && !host.starts_with(':')
        // Somebody's name before the host is how a link pretends to lead elsewhere.
        && !host.contains('@')
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: Kind, required: bool, value: Value) -> Result<String, WrongData> {
        let fields = Fields::from([("x".to_owned(), Field { kind, required })]);
        let data = Map::from_iter([("x".to_owned(), value)]);
        Data::check(&fields, &data).map(|data| data.values()["x"].to_string())
    }

    #[test]
    fn each_kind_takes_what_it_names_and_nothing_else() {
        for (kind, good, bad) in [
            (Kind::Text, vec![json!(""), json!("a")], vec![json!(1), json!([]), json!({})]),
            (Kind::Number, vec![json!(1), json!(-1.5)], vec![json!("1"), json!(true)]),
            (Kind::Boolean, vec![json!(true)], vec![json!("true"), json!(0)]),
            (
                Kind::Date,
                vec![json!("2026-11-28"), json!("2026-11-28T12:00:00Z"), json!("2026-11-28T12:00:00.5+05:30")],
                vec![json!("28.11.2026"), json!("2026-02-30"), json!("2026-11-28T12:00:00"), json!(""), json!(1)],
            ),
            (
                Kind::Url,
                vec![json!("https://example.com/a?b=c#d"), json!("HTTP://localhost:8080")],
                vec![
                    json!("javascript:alert(1)"),
                    json!("https://"),
                    json!("https://a b"),
                    json!("//example.com"),
                    json!("https://bank.example@evil.example/"),
                    json!("https://example.com/\r\nBcc: x"),
                    json!("https://example.com/\"><b>"),
                    json!("https://b\u{fc}cher.example"),
                    json!(format!("https://example.com/{}", "a".repeat(2_000))),
                ],
            ),
            (Kind::List, vec![json!([]), json!([1, "a"])], vec![json!({}), json!("a")]),
            (Kind::Object, vec![json!({})], vec![json!([]), json!("a")]),
        ] {
            for value in good {
                assert!(check(kind, true, value.clone()).is_ok(), "{kind:?} {value}");
            }
            for value in bad {
                let wrong = check(kind, true, value.clone()).unwrap_err();
                assert_eq!((wrong.field.as_str(), wrong.what), ("x", kind.expected()), "{value}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_named_unless_it_may_be() {
        assert_eq!(check(Kind::Text, true, Value::Null).unwrap_err().to_string(), "the field `x` is missing");
        assert!(check(Kind::Text, false, Value::Null).is_ok());
    }

    #[test]
    fn a_text_is_one_line_unless_its_lines_are_wanted() {
        let hostile = json!("a\r\nBcc: x\u{2028}b\0c\u{85}d");
        assert_eq!(check(Kind::Text, true, hostile.clone()).unwrap(), "a  Bcc: x b c d");
        assert_eq!(check(Kind::Lines, true, json!("a\nb\r\nc\rd\0e")).unwrap(), "a\r\nb\r\nc\r\nd e");
        assert!(!check(Kind::List, true, json!([{"a": "x\r\ny"}])).unwrap().contains(['\r', '\n']));
    }

    #[test]
    fn wrong_data_never_says_what_stood_there() {
        let wrong = check(Kind::Number, true, json!("ada@example.com")).unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("ada"));
    }
}
