//! Times and hashes as people and programs read them.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// In lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What [`hex`] was made of; `None` for what it can't have made.
pub(crate) fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// To the second.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// To the minute, in UTC.
pub(crate) fn minutes(at: OffsetDateTime) -> String {
    let whole = rfc3339(at.to_offset(time::UtcOffset::UTC));
    format!("{}Z", whole.get(..16).unwrap_or(&whole))
}

/// To the second, in UTC.
pub(crate) fn seconds(at: OffsetDateTime) -> String {
    rfc3339(at.to_offset(time::UtcOffset::UTC))
}

/// One line of so many characters at most.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect::<String>().trim().to_owned()
}

/// As JSON.
pub(crate) fn value(object: &impl Serialize) -> serde_json::Value {
    // Texts and numbers always have a JSON form.
    serde_json::to_value(object).unwrap_or_default()
}
