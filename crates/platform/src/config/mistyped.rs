//! Variables that are almost ours: one letter is wrong, and what was meant goes unnoticed.

use clap::Command;

use super::renamed::former;
use super::variables;

/// A name of this length may have two mistakes, a shorter one has one: `AMQP_PORT`, which Kubernetes sets beside a service
/// `amqp`, is no `SMTP_PORT`.
const LONG: usize = 12;
/// Longer names are none of ours.
const LONGEST: usize = 64;

/// A variable that is set, and the one that was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mistyped {
    name: String,
    meant: String,
}

/// Tells the log which variables of this process are almost, and not quite, those of the configuration.
pub(super) fn warn(manual: &Command) {
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    for Mistyped { name, meant } in mistyped(manual, environment) {
        tracing::warn!(name, meant, "a variable is set that is almost one of this service: it has no effect");
    }
}

fn mistyped(manual: &Command, environment: impl Iterator<Item = (String, String)>) -> Vec<Mistyped> {
    let known = known(manual);
    let unknown = environment.filter(|(name, value)| !known.contains(&name.as_str()) && !is_service_link(value));
    let mut found: Vec<_> = unknown
        .filter_map(|(name, _)| {
            let nearest = known.iter().map(|known| (distance(&name, known), known)).min()?;
            let (distance, meant) = nearest;
            let most = if name.len() < LONG { 1 } else { 2 };
            (distance <= most).then(|| Mistyped { meant: (*meant).to_owned(), name: name.clone() })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The variables of a command and of all commands in it, by all their names.
fn known(command: &Command) -> Vec<&str> {
    let own = variables(command).flat_map(|(arg, name)| std::iter::once(name).chain(former(arg)));
    own.chain(command.get_subcommands().flat_map(known)).collect()
}

/// As Kubernetes writes them for each service of the namespace.
fn is_service_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// Mistakes between two names: letters that are wrong, missing, too many, or swapped with their neighbours (optimal string
/// alignment). Of names that are no match at all it is only said that they are far apart.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() > LONGEST || one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, theirs) in other.iter().enumerate() {
            let wrong = last[column] + usize::from(letter != theirs);
            let mut least = wrong.min(last[column + 1] + 1).min(next[column] + 1);
            let swapped = row > 0 && column > 0 && one[row - 1] == *theirs && *letter == other[column - 1];
            if swapped {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    enum Demo {
        Run {
            #[arg(long, env = "MAIL_RATE")]
            _mail_rate: Option<String>,
            #[arg(long, env = "SMTP_HOST")]
            _smtp_host: Option<String>,
            #[arg(long, env = "SMTP_PORT")]
            _smtp_port: Option<String>,
            #[arg(long, env = "SMTP_CONNECT_TIMEOUT")]
            _smtp_connect_timeout: Option<String>,
        },
        Migrate {
            #[arg(long, env = "DATABASE_URL")]
            _database_url: Option<String>,
        },
    }

    #[test]
    fn what_is_almost_ours_is_found_and_what_others_set_is_not() {
        for (name, value, meant) in [
            ("MAIL_RTAE", "5", Some("MAIL_RATE")),
            ("SMTP_HSOT", "mail", Some("SMTP_HOST")),
            ("SMPT_HOST", "mail", Some("SMTP_HOST")),
            ("MAIL_RATES", "5", Some("MAIL_RATE")),
            ("MAILRATE", "5", Some("MAIL_RATE")),
            ("mail_RATE", "5", None),
            ("DATABSE_URL", "postgres://", Some("DATABASE_URL")),
            ("SMTP_CONECT_TIMOUT", "5s", Some("SMTP_CONNECT_TIMEOUT")),
            ("SMTP_CONECT_TIMOT", "5s", None),
            ("MAIL_RATE", "5", None),
            ("DATABASE_URL", "postgres://", None),
            ("SMTP_SERVICE_HOST", "10.0.0.1", None),
            ("SMTP_PORT_25_TCP", "tcp://10.0.0.1:25", None),
            ("RABBITMQ_PORT_5672_TCP_ADDR", "10.0.0.1", None),
            ("AMQP_PORT", "5672", None),
            ("SMTPS_PORT", "tcp://10.0.0.1:465", None),
            ("SMTPS_PORT", "465", Some("SMTP_PORT")),
            ("PATH", "/bin", None),
            ("", "", None),
        ] {
            let found = mistyped(&Demo::command(), std::iter::once((name.to_owned(), value.to_owned())));
            let found: Vec<_> = found.iter().map(|mistyped| mistyped.meant.as_str()).collect();
            assert_eq!(found, Vec::from_iter(meant), "{name}={value}");
        }
    }

    #[test]
    fn names_are_as_far_apart_as_there_are_mistakes() {
        for (one, other, mistakes) in [
            ("A", "A", 0),
            ("AB", "BA", 1),
            ("ABC", "AC", 1),
            ("ABC", "AXC", 1),
            ("ABC", "ABCD", 1),
            ("ABCD", "BADC", 2),
            ("", "AB", 2),
        ] {
            assert_eq!((distance(one, other), distance(other, one)), (mistakes, mistakes), "{one} {other}");
        }
        assert_eq!(distance("A", "ABCD"), usize::MAX);
    }
}
