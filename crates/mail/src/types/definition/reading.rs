//! From the text of `TYPE.toml`. By hand rather than by serde, which stops at the first problem.

use std::time::Duration;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Definition, Inline, KNOWN, Priority};
use crate::problem::Problem;
use crate::types::fields::{Data, Field, Fields, Kind, WrongData};

const KEYS: &str = "fields, sample, samples, expires_after, priority, from, reply_to, return_path, suppressible, default_locale, list_unsubscribe";
const KINDS: &str = "text, lines, number, boolean, date, url, list, object";
/// Longest time that a mail may wait.
const MAX_EXPIRY: Duration = Duration::from_secs(366 * 24 * 3600);

type Entry<'a> = Spanned<DeValue<'a>>;

/// Reads one file; what is wrong is added to `problems`, and left out of what is returned.
pub(crate) fn read(file: &str, text: &str, problems: &mut Vec<Problem>) -> Definition {
    let mut reading = Reading { file, text, problems };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map(|span| reading.line(span.start));
        reading.problems.push(Problem::new(file, line, error.message()));
    }
    reading.definition(table.get_ref())
}

struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }

    fn wrong(&mut self, offset: usize, message: impl Into<String>) {
        let line = self.line(offset);
        self.problems.push(Problem::new(self.file, Some(line), message));
    }

    fn definition(&mut self, table: &DeTable<'_>) -> Definition {
        let mut out = Definition::default();
        for (key, value) in table {
            let at = key.span().start;
            match key.get_ref().as_ref() {
                // Read below, when the fields are known.
                "sample" | "samples" => {}
                "fields" => out.fields = self.fields(value),
                "expires_after" => out.expires_after = self.parsed(key.get_ref(), value, expiry),
                "priority" => out.priority = self.parsed(key.get_ref(), value, priority).unwrap_or_default(),
                "from" => out.from = self.parsed(key.get_ref(), value, |text| text.parse().map_err(told)),
                "reply_to" => out.reply_to = self.parsed(key.get_ref(), value, |text| text.parse().map_err(told)),
                "return_path" => out.return_path = self.parsed(key.get_ref(), value, |text| text.parse().map_err(told)),
                "default_locale" => {
                    if let Some(language) = self.parsed(key.get_ref(), value, |text| text.parse().map_err(told)) {
                        out.default_locale = language;
                    }
                }
                "suppressible" => match value.get_ref() {
                    DeValue::Boolean(suppressible) => out.suppressible = *suppressible,
                    _ => self.wrong(value.span().start, "suppressible must be true or false"),
                },
                "list_unsubscribe" => {
                    let line = self.line(value.span().start);
                    out.list_unsubscribe =
                        self.parsed(key.get_ref(), value, |text| Ok(Inline { source: text.trim().to_owned(), line }));
                }
                other => self.wrong(at, format!("unknown key `{other}`; there are {KEYS}")),
            }
        }
        let of = |name| table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
        self.samples(of("fields"), of("sample"), of("samples"), &mut out);
        out
    }

    /// A text that `parse` understands.
    fn parsed<T>(&mut self, key: &str, value: &Entry<'_>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse(text),
            _ => Err("must be a text".to_owned()),
        };
        parsed.map_err(|why| self.wrong(value.span().start, format!("{key}: {why}"))).ok()
    }

    fn fields(&mut self, value: &Entry<'_>) -> Fields {
        let mut fields = Fields::new();
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong(value.span().start, "fields must be a table: [fields]");
            return fields;
        };
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.is_empty() || !name.bytes().all(word) || name.as_bytes()[0].is_ascii_digit() {
                self.wrong(at, format!("`{name}` can't be a field: letters, digits and _, a letter first"));
            } else if name == "content" || KNOWN.contains(&name) {
                self.wrong(at, format!("`{name}` can't be a field: templates know it already"));
            } else if let Some(field) = self.field(name, value) {
                fields.insert(name.to_owned(), field);
            }
        }
        fields
    }

    fn field(&mut self, name: &str, value: &Entry<'_>) -> Option<Field> {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(kind) => self.kind(at, name, kind).map(|kind| Field { kind, required: true }),
            DeValue::Table(table) => {
                let (mut kind, mut required) = (None, true);
                for (key, value) in table {
                    match (key.get_ref().as_ref(), value.get_ref()) {
                        ("kind", DeValue::String(text)) => kind = self.kind(value.span().start, name, text),
                        ("optional", DeValue::Boolean(optional)) => required = !optional,
                        (other, _) => self.wrong(
                            key.span().start,
                            format!(
                                "`{name}`: {other} is not understood; a field is {{ kind = \"text\", optional = true }}"
                            ),
                        ),
                    }
                }
                if kind.is_none() && !table.iter().any(|(key, _)| key.get_ref() == "kind") {
                    self.wrong(at, format!("`{name}` has no kind: {KINDS}"));
                }
                kind.map(|kind| Field { kind, required })
            }
            _ => {
                self.wrong(at, format!("`{name}` must be a kind ({KINDS}) or {{ kind = \"text\", optional = true }}"));
                None
            }
        }
    }

    fn kind(&mut self, at: usize, name: &str, text: &str) -> Option<Kind> {
        let kind = Kind::named(text);
        if kind.is_none() {
            self.wrong(at, format!("`{name}`: there is no kind {text:?}; there are {KINDS}"));
        }
        kind
    }

    fn samples(
        &mut self,
        fields: Option<&Entry<'_>>,
        common: Option<&Entry<'_>>,
        by_language: Option<&Entry<'_>>,
        out: &mut Definition,
    ) {
        if let Some(sample) = common {
            out.samples.common = self.sample(sample, &out.fields);
        }
        if let Some(samples) = by_language {
            let DeValue::Table(table) = samples.get_ref() else {
                self.wrong(samples.span().start, "samples must be tables by language: [samples.zh]");
                return;
            };
            for (key, value) in table {
                match key.get_ref().parse() {
                    Ok(language) => {
                        let sample = self.sample(value, &out.fields);
                        out.samples.by_language.insert(language, sample);
                    }
                    Err(error) => self.wrong(key.span().start, format!("samples.{}: {error}", key.get_ref())),
                }
            }
        }
        // One problem for what no sample has, at the field that asks for it.
        for (name, _) in out.fields.iter().filter(|(_, field)| field.required) {
            let somewhere = out.samples.common.contains_key(name)
                || out.samples.by_language.values().any(|sample| sample.contains_key(name));
            if !somewhere && !self.sample_was_wrong(name, common) {
                let at = fields.and_then(|fields| key_of(fields, name)).unwrap_or(0);
                self.wrong(at, format!("`{name}` has no value in [sample]"));
            }
        }
    }

    /// Whether a value is there, and was refused already.
    fn sample_was_wrong(&self, name: &str, sample: Option<&Entry<'_>>) -> bool {
        sample.is_some_and(|sample| key_of(sample, name).is_some())
    }

    fn sample(&mut self, value: &Entry<'_>, fields: &Fields) -> Map<String, Value> {
        let mut sample = Map::new();
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong(value.span().start, "a sample must be a table: [sample]");
            return sample;
        };
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let Some(field) = fields.get(name) else {
                self.wrong(at, format!("the sample has `{name}`, which is not in [fields]"));
                continue;
            };
            let one = Fields::from([(name.to_owned(), *field)]);
            let data = Map::from_iter([(name.to_owned(), json(value.get_ref()))]);
            match Data::check(&one, &data) {
                Ok(_) => sample.extend(data),
                Err(WrongData { what, .. }) => self.wrong(at, format!("the sample's `{name}` {what}")),
            }
        }
        sample
    }
}

fn key_of(table: &Entry<'_>, name: &str) -> Option<usize> {
    let DeValue::Table(table) = table.get_ref() else { return None };
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, _)| key.span().start)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn expiry(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() || time > MAX_EXPIRY => {
            Err("must be more than nothing, and at most 366days".to_owned())
        }
        Ok(time) => Ok(time),
        Err(error) => Err(format!("not a time such as 15min or 2days: {error}")),
    }
}

fn priority(text: &str) -> Result<Priority, String> {
    match text {
        "normal" => Ok(Priority::Normal),
        "high" => Ok(Priority::High),
        _ => Err("must be normal or high".to_owned()),
    }
}

/// A value of TOML as JSON has it: dates are texts.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(when) => Value::from(when.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
    }
}
