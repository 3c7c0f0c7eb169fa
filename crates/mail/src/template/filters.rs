//! What templates can do with values beside printing them.

use minijinja::{Environment, Error, ErrorKind, State, Value};

use crate::types::{dates::When, numbers};

/// Most decimals of `number`.
const MAX_DECIMALS: usize = 10;

pub(crate) fn add(engine: &mut Environment<'_>) {
    engine.add_filter("date", date);
    engine.add_filter("number", number);
    engine.add_filter("url", url);
    engine.add_test("plain", plain);
    // What is escaped is decided by the kind of file, not by a template.
    engine.remove_filter("safe");
}

// The texts of these errors never repeat the value: it may be somebody's.
fn wrong(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// Whether the text of an error is from here.
pub(crate) fn is_ours(detail: &str) -> bool {
    ["date: ", "number: ", "url: "].iter().any(|filter| detail.starts_with(filter))
}

fn language(state: &State<'_, '_>) -> String {
    state.lookup("locale").and_then(|tag| tag.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// `{{ due | date }}` as the language writes it, `{{ due | date("[day].[month].[year]") }}` by a pattern.
fn date(state: &State<'_, '_>, value: &Value, pattern: Option<&str>) -> Result<String, Error> {
    let when = value.as_str().and_then(When::parse).ok_or_else(|| wrong("date: the value is no date"))?;
    let written = match pattern {
        Some(pattern) => when.by_pattern(pattern)?,
        None => when.in_language(language(state).split('-').next().unwrap_or_default()),
    };
    Ok(isolated(state, written))
}

/// Among letters that run from right to left, 2026-12-10 would be shown as 10-12-2026, and −5 as 5−: kept together by a
/// left-to-right isolate (Unicode UAX #9).
fn isolated(state: &State<'_, '_>, written: String) -> String {
    let from_the_right = state.lookup("dir").is_some_and(|dir| dir.as_str() == Some("rtl"));
    if from_the_right && written.contains(['-', '−']) { format!("\u{2066}{written}\u{2069}") } else { written }
}

/// `{{ total | number }}` as the language writes it, `{{ total | number(2) }}` with so many decimals.
fn number(state: &State<'_, '_>, value: &Value, decimals: Option<usize>) -> Result<String, Error> {
    if !value.is_number() {
        return Err(wrong("number: the value is no number"));
    }
    if decimals.is_some_and(|decimals| decimals > MAX_DECIMALS) {
        return Err(wrong("number: at most 10 decimals"));
    }
    let digits = match (i128::try_from(value.clone()), decimals) {
        (Ok(whole), None | Some(0)) => whole.to_string(),
        // Not by way of a floating-point number, which would round large ones.
        (Ok(whole), Some(decimals)) => format!("{whole}.{}", "0".repeat(decimals)),
        (Err(_), decimals) => {
            let number = f64::try_from(value.clone()).map_err(|_| wrong("number: the value is no number"))?;
            match decimals {
                Some(decimals) => format!("{number:.decimals$}"),
                None => number.to_string(),
            }
        }
    };
    // A zero has no sign, whatever was rounded to it.
    let zero = digits.bytes().all(|b| matches!(b, b'-' | b'.' | b'0'));
    let digits = if zero { digits.trim_start_matches('-') } else { &digits };
    Ok(isolated(state, numbers::in_language(digits, &language(state))))
}

/// `https://example.com/?q={{ words | url }}`: as a piece of a URL, all but letters, digits and `-._~` encoded.
fn url(value: &Value) -> Result<String, Error> {
    if value.as_str().is_none() && !value.is_number() {
        return Err(wrong("url: the value is neither text nor number"));
    }
    let mut out = String::new();
    for byte in value.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    Ok(out)
}

/// `{% if name is plain %}`: short, and nothing but letters, digits, blanks, `-` and `_`. A subject is read in a list, next to
/// the subjects of others: only such a name may stand in it.
fn plain(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.chars().count() <= 64
            && !text.trim().is_empty()
            && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '))
    })
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use crate::template::engine;

    fn rendered(template: &str, locale: &str) -> Result<String, String> {
        let context = context! {
            locale, dir => if locale == "ar" { "rtl" } else { "ltr" }, at => "2026-11-28T10:00:00Z", whole => 1_234_567, part => 1234.5, big => 9_007_199_254_740_993_i64,
            text => "a b&c/ü", tiny => -0.001, list => vec![1],
        };
        engine::new().render_str(template, context).map_err(|error| error.to_string())
    }

    #[test]
    fn filters_by_example() {
        for (template, locale, expected) in [
            ("{{ at | date }}", "en", "28 November 2026"),
            ("{{ at | date }}", "de-CH", "28. November 2026"),
            ("{{ at | date }}", "he", "2026-11-28"),
            ("{{ at | date('[hour]:[minute]') }}", "de", "10:00"),
            ("{{ at | date }}", "ar", "\u{2066}2026-11-28\u{2069}"),
            ("{{ at | date('[day]-[month]') }}", "ar", "\u{2066}28-11\u{2069}"),
            ("{{ at | date('[hour]:[minute]') }}", "ar", "10:00"),
            ("{{ (0 - 5) | number }}", "ar", "\u{2066}−5\u{2069}"),
            ("{{ whole | number }}", "ar", "1234567"),
            ("{{ whole | number }}", "en", "1,234,567"),
            ("{{ whole | number(2) }}", "de", "1.234.567,00"),
            ("{{ part | number }}", "de", "1.234,5"),
            ("{{ part | number(2) }}", "en", "1,234.50"),
            ("{{ big | number(1) }}", "he", "9,007,199,254,740,993.0"),
            ("{{ tiny | number(2) }}", "en", "0.00"),
            ("{{ text | url }}", "en", "a%20b%26c%2F%C3%BC"),
            ("{{ whole | url }}", "en", "1234567"),
        ] {
            assert_eq!(rendered(template, locale).as_deref(), Ok(expected), "{template} {locale}");
        }
    }

    #[test]
    fn a_filter_that_fails_does_not_repeat_the_value() {
        for template in [
            "{{ text | date }}",
            "{{ text | number }}",
            "{{ whole | number(11) }}",
            "{{ list | url }}",
            "{{ at | date('[never]') }}",
            "{{ text | safe }}",
        ] {
            let error = rendered(template, "en").unwrap_err();
            assert!(!error.contains("a b&c"), "{error}");
        }
    }
}
