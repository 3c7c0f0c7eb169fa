//! Why a statement failed, as callers have to know it.

use super::{is_unavailable, words};

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Not now; later, unchanged, it may. Holds the reason, for the log.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The statement or the schema is wrong.
    #[error("the database refused a statement")]
    Failed(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        // Serialization failure and deadlock: the other one went first.
        let lost_race = |code: &str| ["40001", "40P01"].contains(&code);
        let again = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| lost_race(&code));
        if again || is_unavailable(&error) { Self::Unavailable(words(&error)) } else { Self::Failed(error) }
    }
}
