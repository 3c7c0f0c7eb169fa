//! Values that clap does not know how to read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a value was refused. Never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub String);

/// Values that are right one by one and do not go together: one sentence that names the variables and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Contradiction(pub String);

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

/// Reads a PostgreSQL URL.
pub fn database_url(text: &str) -> Result<Secret, InvalidValue> {
    let expected =
        || InvalidValue("not a PostgreSQL URL such as postgres://user:password@host:5432/database".to_owned());
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")).ok_or_else(expected)?;
    if rest.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(expected());
    }
    Ok(Secret(text.to_owned()))
}

/// What the process runs for. Production refuses what is only meant for a developer's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AppEnv {
    /// A developer's machine or a test.
    Development,
    /// Real users.
    Production,
}
