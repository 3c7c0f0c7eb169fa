//! A letter as a row of a list.

use std::time::{Duration, SystemTime};

use super::Letter;

/// The columns of a list.
pub(super) fn columns(with_address: bool) -> Vec<&'static str> {
    let mut columns = vec!["ID", "REASON", "AGE", "ATTEMPTS"];
    columns.extend(with_address.then_some("ADDRESS"));
    columns.push("DETAIL");
    columns
}

/// A letter in these columns.
pub(super) fn row(letter: &Letter, now: SystemTime, with_address: bool) -> Vec<String> {
    let age = letter.age(now).map_or_else(|| "?".to_owned(), brief);
    let mut row = vec![letter.id.clone(), letter.reason.clone(), age, letter.attempts.to_string()];
    let address = || letter.recipient.as_ref().map(|(email, _)| email.clone()).unwrap_or_default();
    row.extend(with_address.then(address));
    row.push(letter.detail.clone());
    row
}

/// The two largest units are enough.
fn brief(age: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
