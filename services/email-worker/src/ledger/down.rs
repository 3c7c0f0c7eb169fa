//! The ledger has no answer.

use std::sync::Arc;

use platform::postgres::{NoAnswer, words};

const UNDEFINED_TABLE: &str = "42P01";
const MIGRATE: &str = "the tables are missing or old: run `email-worker migrate`";
const UNDEFINED_COLUMN: &str = "42703";

/// The ledger's database did not answer, or not in time. Nothing may be sent without it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger's database is down: {0}")]
pub struct LedgerDown(Arc<str>);

impl LedgerDown {
    pub(crate) fn because(reason: &str) -> Self {
        Self(reason.into())
    }

    /// Are tables missing, or older than this binary?
    pub(super) fn is_not_migrated(&self) -> bool {
        self.0.ends_with(MIGRATE)
    }

    pub(crate) fn stopping() -> Self {
        Self::because("the worker is stopping")
    }
}

impl From<NoAnswer> for LedgerDown {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Failed(error) => error.into(),
            silent @ NoAnswer::Silent(_) => Self::because(&silent.to_string()),
        }
    }
}

impl From<sqlx::Error> for LedgerDown {
    fn from(error: sqlx::Error) -> Self {
        let said = words(&error);
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some(UNDEFINED_TABLE | UNDEFINED_COLUMN) => Self(format!("{said}: {MIGRATE}").into()),
            _ => Self(said.into()),
        }
    }
}
