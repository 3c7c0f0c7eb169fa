//! What goes wrong, as clients see it: RFC 9457, `application/problem+json`. The only place with status codes of errors.

mod kind;
mod problem;

use axum::response::{IntoResponse, Response};

pub use kind::Kind;
pub use problem::{FieldError, Problem, ProblemBody};

use crate::db::DbError;
use crate::hashing::HashError;
use crate::registration::RegisterError;

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Taken(taken) => {
                let fields =
                    [("username", taken.username), ("email", taken.email)].into_iter().filter(|(_, taken)| *taken);
                let errors = fields.map(|(name, _)| FieldError::field(name, "belongs to somebody already"));
                Self::new(Kind::AlreadyTaken).errors(errors.collect())
            }
            RegisterError::KeyReused => Self::new(Kind::IdempotencyKeyReused),
            RegisterError::DatabaseDown => Self::database_unavailable(),
            RegisterError::Hash(error) => error.into(),
            RegisterError::Database(error) => error.into(),
        }
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded(overloaded) => Self::new(Kind::Overloaded).retry_after(overloaded.retry_after),
            HashError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(reason) => {
                tracing::warn!(reason, "answered 503: the database is not available");
                Self::database_unavailable()
            }
            DbError::Failed(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Problem {
    /// Without a body yet: [`crate::middleware::request_id`] writes it, with the id of the request.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
