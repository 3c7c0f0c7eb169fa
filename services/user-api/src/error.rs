//! What goes wrong, as clients see it. The only place with status codes of errors, beside the crate `web`.

mod kind;

use web::{FieldError, Kind, Problem};

pub use kind::{ALREADY_TAKEN, OVERLOADED, OWN, all};

use crate::hashing::HashError;
use crate::registration::RegisterError;

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Taken(taken) => {
                let fields =
                    [("username", taken.username), ("email", taken.email)].into_iter().filter(|(_, taken)| *taken);
                let errors = fields.map(|(name, _)| FieldError::field(name, "belongs to somebody already"));
                Self::new(ALREADY_TAKEN).errors(errors.collect())
            }
            RegisterError::KeyReused => Self::new(Kind::IDEMPOTENCY_KEY_REUSED),
            RegisterError::DatabaseDown => Self::database_unavailable(),
            RegisterError::Hash(error) => error.into(),
            RegisterError::Database(error) => error.into(),
        }
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded(overloaded) => Self::new(OVERLOADED).retry_after(overloaded.retry_after),
            HashError::Failed(_) => Self::internal(&error),
        }
    }
}
