//! Values that clap does not know how to read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// Why a value was refused. Never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub String);

/// Values that are right one by one and do not go together: one sentence that names the variables and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Contradiction(pub String);

impl Contradiction {
    /// The first of the rows that holds: each says whether something makes no sense, and what.
    ///
    /// # Errors
    /// That row.
    pub fn first(rows: impl IntoIterator<Item = (bool, &'static str)>) -> Result<(), Self> {
        match rows.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, line)) => Err(Self(line.to_owned())),
            None => Ok(()),
        }
    }
}

/// Text that must not be shown: neither `Debug` nor `Display` do.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Reads a length of time such as `250ms`, `25s`, `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, InvalidValue> {
    humantime::parse_duration(text.trim())
        .map_err(|_| InvalidValue("not a length of time such as 250ms, 25s or 1h 30m".to_owned()))
}

/// Reads a PostgreSQL URL that can be used.
pub fn database_url(text: &str) -> Result<Secret, InvalidValue> {
    let invalid = |why: &str| Err(InvalidValue(why.to_owned()));
    let Some(rest) = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) else {
        return invalid(NO_URL);
    };
    if rest.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return invalid(NO_URL);
    }
    // What stands before the last @ is user and password: another part of the URL may not begin in there.
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    if rest.contains('#') || login.contains(['/', '?', '@']) {
        return invalid(
            "has a character in user or password that must be written otherwise: # as %23, / as %2F, ? as %3F, @ as %40",
        );
    }
    if let Some(mode) = parameter(rest, &["sslmode", "ssl-mode"]).filter(|mode| !SSL_MODES.contains(mode)) {
        // As much as fits on a line, and never a secret: it has a name that says what it is.
        let mode: String = mode.chars().take(20).collect();
        return Err(InvalidValue(format!("sslmode {mode:?} is none of {}", SSL_MODES.join(", "))));
    }
    if PgConnectOptions::from_str(text).is_err() {
        return invalid("is a URL that PostgreSQL's clients cannot use: look at its host, its port and its parameters");
    }
    Ok(Secret(text.to_owned()))
}

const NO_URL: &str = "not a PostgreSQL URL such as postgres://user:password@host:5432/database";
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The value of a parameter of a URL, by one of its names.
fn parameter<'u>(url: &'u str, names: &[&str]) -> Option<&'u str> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| names.contains(name))
        .map(|(_, value)| value)
}

/// What the process runs for. Production refuses what is only meant for a developer's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AppEnv {
    /// A developer's machine or a test.
    Development,
    /// Real users.
    Production,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_read_as_people_write_it_or_the_line_says_what_is_wrong() {
        for good in [
            "postgres://u:p@h/d",
            "postgresql://u@h",
            "postgres://u:p%23q@h:5432/d?sslmode=verify-full",
            "postgres://u:p@h/d?sslmode=disable&application_name=x",
            "postgres:///d?host=/run/postgresql",
            "postgres://u:p@[::1]:5432/d",
        ] {
            assert!(database_url(good).is_ok(), "{good}: {:?}", database_url(good));
        }
        for (bad, why) in [
            ("", "not a PostgreSQL URL"),
            ("mysql://u:s3cret@h/d", "not a PostgreSQL URL"),
            ("postgres://", "not a PostgreSQL URL"),
            ("postgres://u:s3cret@h/d ", "not a PostgreSQL URL"),
            ("\"postgres://u:s3cret@h/d\"", "not a PostgreSQL URL"),
            ("postgres://u:s3#cret@h/d", "%23"),
            ("postgres://u:12#s3cret@h/d", "%23"),
            ("postgres://u:s3/cret@h/d", "%2F"),
            ("postgres://u:s3?cret@h/d", "%3F"),
            ("postgres://u:s3@cret@h/d", "%40"),
            ("postgres://u:s3cret@h:port/d", "port"),
            ("postgres://u:s3cret@h:99999/d", "port"),
            ("postgres://u:s3cret@h/d?sslmode=on", "sslmode \"on\" is none of disable"),
            ("postgres://u:s3cret@h/d?application_name=x&sslmode=Require", "sslmode \"Require\""),
        ] {
            let error = database_url(bad).unwrap_err().0;
            assert!(error.contains(why), "{bad}: {error}");
            assert!(!error.contains("s3"), "{bad}: a part of the password is told: {error}");
        }
    }
}
