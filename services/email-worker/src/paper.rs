//! Times and hashes as people and programs read them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// In lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
