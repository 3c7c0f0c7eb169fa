//! Which dead letters are meant.

use std::fmt;
use std::time::{Duration, SystemTime};

use clap::Args;
use contract::TaskId;
use platform::config::duration;
use serde::{Deserialize, Serialize};

use super::Letter;

/// Which dead letters: those that meet all that is given. Nothing given is all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only the one with this message id, or this task in the log
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Only these reasons, such as mailbox-full,policy-violation
    #[arg(long = "reason", value_name = "REASON", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Only messages of these types, such as email.welcome; none: those without a type
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Only recipients at these domains
    #[arg(long = "domain", value_name = "DOMAIN", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Only those that died in the last so long, such as 2h or 3d
    #[arg(long, value_name = "AGE", value_parser = duration)]
    #[serde(with = "as_seconds", skip_serializing_if = "Option::is_none")]
    pub since: Option<Duration>,
    /// Only those that died longer ago than this
    #[arg(long, value_name = "AGE", value_parser = duration)]
    #[serde(with = "as_seconds", skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Duration>,
}

impl Filter {
    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this letter is meant.
    pub fn takes(&self, letter: &Letter, now: SystemTime) -> bool {
        self.id.as_ref().is_none_or(|id| is(id, &letter.id))
            && any(&self.reasons, |reason| *reason == letter.reason)
            && any(&self.kinds, |kind| *kind == letter.kind.as_deref().unwrap_or("none"))
            && any(&self.domains, |domain| letter.recipient.as_ref().is_some_and(|(_, at)| at.eq_ignore_ascii_case(domain)))
            // Of the future, by a clock that goes wrong: it is new.
            && self.since.is_none_or(|since| letter.died.is_some_and(|_| letter.age(now).is_none_or(|age| age <= since)))
            && self.older_than.is_none_or(|older| letter.age(now).is_some_and(|age| age > older))
    }
}

/// As the options say it, for the history; `all` where nothing is left out.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
        let some = |words: &[String]| Some(words.join(",")).filter(|words| !words.is_empty());
        let age = |age: Option<Duration>| age.map(|age| humantime::format_duration(age).to_string().replace(' ', ""));
        let parts = [
            one("id", self.id.clone()),
            one("reason", some(&self.reasons)),
            one("type", some(&self.kinds)),
            one("domain", some(&self.domains)),
            one("since", age(self.since)),
            one("older-than", age(self.older_than)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "all" } else { "" })?;
        f.write_str(&parts.join(" "))
    }
}

/// By the id itself, or by that of its task, as the log names it.
pub(super) fn is(wanted: &str, id: &str) -> bool {
    wanted == id || (!id.is_empty() && TaskId::from_message_id(id).to_string() == wanted)
}

mod as_seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[allow(clippy::ref_option, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        age.map(|age| age.as_secs_f64()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        let age = seconds.map(Duration::try_from_secs_f64).transpose();
        age.map_err(serde::de::Error::custom)
    }
}

fn any(wanted: &[String], is_it: impl Fn(&String) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> (Letter, SystemTime) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let letter = Letter {
            id: "1".into(),
            reason: "mailbox-full".into(),
            kind: Some("email.welcome".into()),
            died: Some(now - Duration::from_secs(3600)),
            recipient: Some(("Ada@Example.com".into(), "example.com".into())),
            ..Letter::default()
        };
        (letter, now)
    }

    #[test]
    fn a_letter_is_meant_when_it_meets_all_that_is_given() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (letter, now) = letter();
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        for (filter, meant) in [
            (Filter::default(), true),
            (Filter { id: Some("1".into()), ..Filter::default() }, true),
            (Filter { id: Some("2".into()), ..Filter::default() }, false),
            (Filter { id: Some(TaskId::from_message_id("1").to_string()), ..Filter::default() }, true),
            (Filter { id: Some(TaskId::from_message_id("2").to_string()), ..Filter::default() }, false),
            (Filter { reasons: words(&["mailbox-full"]), ..Filter::default() }, true),
            (Filter { reasons: words(&["blocked", "mailbox-full"]), ..Filter::default() }, true),
            (Filter { reasons: words(&["mailbox"]), ..Filter::default() }, false),
            (Filter { kinds: words(&["email.welcome"]), ..Filter::default() }, true),
            (Filter { kinds: words(&["none"]), ..Filter::default() }, false),
            (Filter { domains: words(&["EXAMPLE.com"]), ..Filter::default() }, true),
            (Filter { domains: words(&["ample.com"]), ..Filter::default() }, false),
            (Filter { since: hours(1), ..Filter::default() }, true),
            (Filter { since: Some(Duration::from_secs(3599)), ..Filter::default() }, false),
            (Filter { older_than: hours(1), ..Filter::default() }, false),
            (Filter { older_than: Some(Duration::from_secs(3599)), ..Filter::default() }, true),
            (
                Filter { reasons: words(&["mailbox-full"]), domains: words(&["example.org"]), ..Filter::default() },
                false,
            ),
        ] {
            assert_eq!(filter.takes(&letter, now), meant, "{filter:?}");
        }
    }

    #[test]
    fn what_a_letter_does_not_have_is_not_met() {
        let (mut letter, now) = letter();
        (letter.kind, letter.died, letter.recipient) = (None, None, None);
        for (filter, meant) in [
            (Filter { kinds: vec!["none".into()], ..Filter::default() }, true),
            (Filter { kinds: vec!["email.welcome".into()], ..Filter::default() }, false),
            (Filter { domains: vec!["example.com".into()], ..Filter::default() }, false),
            (Filter { since: Some(Duration::MAX), ..Filter::default() }, false),
            (Filter { older_than: Some(Duration::ZERO), ..Filter::default() }, false),
        ] {
            assert_eq!(filter.takes(&letter, now), meant, "{filter:?}");
        }
        letter.died = Some(now + Duration::from_secs(60));
        assert!(Filter { since: Some(Duration::ZERO), ..Filter::default() }.takes(&letter, now), "of the future");
    }

    #[test]
    fn a_filter_is_written_down_and_read_again_as_it_was() {
        let filter = Filter {
            id: Some("1".into()),
            reasons: vec!["mailbox-full".into(), "blocked".into()],
            kinds: vec!["none".into()],
            domains: vec!["example.com".into()],
            since: Some(Duration::from_secs(7200)),
            older_than: Some(Duration::from_millis(1500)),
        };
        for (filter, says) in [
            (Filter::default(), "all"),
            (filter, "id=1 reason=mailbox-full,blocked type=none domain=example.com since=2h older-than=1s500ms"),
        ] {
            assert_eq!(filter.to_string(), says);
            let written = serde_json::to_value(&filter).expect("JSON");
            assert_eq!(serde_json::from_value::<Filter>(written.clone()).expect("a filter"), filter, "{written}");
        }
        assert!(serde_json::from_value::<Filter>(serde_json::json!({"since": -1.0})).is_err());
    }
}
