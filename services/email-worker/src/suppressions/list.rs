//! Suppressions on paper.

use std::io::{self, Write};

use platform::table::Table;
use serde_json::json;

use super::store::Suppressed;
use crate::paper::{hex, minutes, rfc3339};

/// Bytes of a hash that are shown: enough to tell two of them apart.
const SHOWN: usize = 6;

/// The beginning of a hash.
fn short(hash: &[u8]) -> String {
    hex(hash.get(..SHOWN).unwrap_or(hash))
}

/// How the history names an address.
pub(crate) fn recipient(hash: &[u8]) -> String {
    format!("recipient:{}", short(hash))
}

/// A table of them.
///
/// # Errors
/// It can't be written.
pub fn table(out: impl Write, rows: &[Suppressed]) -> io::Result<()> {
    let mut table = Table::new(out, &["HASH", "REASON", "SINCE", "UNTIL", "SOURCE"]);
    if rows.is_empty() {
        let mut out = table.into_inner();
        writeln!(out, "no suppressions")?;
        return out.flush();
    }
    for row in rows {
        table.push(vec![
            short(&row.hash),
            row.reason.clone(),
            minutes(row.since),
            minutes(row.until),
            row.source.clone(),
        ])?;
    }
    table.flush()
}

/// One JSON object a line.
///
/// # Errors
/// They can't be written.
pub fn lines(mut out: impl Write, rows: &[Suppressed]) -> io::Result<()> {
    for row in rows {
        let Suppressed { hash, key_id, reason, source, since, until } = row;
        let (since, until) = (rfc3339(*since), rfc3339(*until));
        let line = json!({
            "hash": hex(hash), "key": key_id, "reason": reason, "since": since, "until": until, "source": source,
        });
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// One, for whoever asks about an address.
pub fn sentence(row: &Suppressed) -> String {
    let (since, until) = (minutes(row.since), minutes(row.until));
    format!("suppressed from {since} until {until}: {} ({})", row.reason, row.source)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn row() -> Suppressed {
        let at = |days: i64| OffsetDateTime::from_unix_timestamp(1_800_000_000 + days * 86_400).unwrap();
        Suppressed {
            hash: vec![0xab; 32],
            key_id: "01020304".to_owned(),
            reason: "5.1.1 user-unknown".to_owned(),
            source: "bounce".to_owned(),
            since: at(0),
            until: at(180),
        }
    }

    #[test]
    fn a_table_shows_the_beginning_of_a_hash_and_a_line_all_of_it() {
        let mut out = Vec::new();
        table(&mut out, &[row()]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HASH          REASON              SINCE              UNTIL              SOURCE\n\
             abababababab  5.1.1 user-unknown  2027-01-15T08:00Z  2027-07-14T08:00Z  bounce\n"
        );
        let mut out = Vec::new();
        lines(&mut out, &[row()]).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&line["hash"], &line["key"]), (&json!("ab".repeat(32)), &json!("01020304")));
        assert_eq!((&line["since"], &line["source"]), (&json!("2027-01-15T08:00:00Z"), &json!("bounce")));
        let mut out = Vec::new();
        table(&mut out, &[]).unwrap();
        assert_eq!(out, b"no suppressions\n");
    }
}
