//! What goes wrong, as clients see it: RFC 9457, `application/problem+json`.

mod kind;

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use platform::postgres::DbError;
use serde::Serialize;
use utoipa::ToSchema;

pub use kind::Kind;

/// How long a client waits for the database before it tries again.
const DATABASE_BACK: Duration = Duration::from_secs(2);

/// What an answer says went wrong. Made anywhere, written by the outermost layer.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, as a JSON pointer (RFC 6901); empty for the whole body.
    #[schema(example = "/email")]
    pub pointer: String,
    /// What is wrong with it. Never repeats its value.
    #[schema(value_type = String, example = "must have the form name@domain")]
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// An error of the field with this name.
    pub fn field(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::at(&[name], detail)
    }

    /// An error of what lies at the end of this path of names.
    pub fn at(path: &[&str], detail: impl Into<Cow<'static, str>>) -> Self {
        let pointer = path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect();
        Self { pointer, detail: detail.into() }
    }

    /// An error of the body as a whole.
    pub fn body(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: String::new(), detail: detail.into() }
    }
}

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Which kind of problem; stable. A path on this service, where it is explained.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation-failed")]
    kind: String,
    /// What that kind is, in a few words.
    #[schema(example = "Some fields are not valid")]
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 422)]
    status: u16,
    /// What went wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Every field that is not valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// The id of the request, also in the header X-Request-Id.
    #[schema(example = "0199f2a4-7c1e-7d3a-9a55-3c0b8f1f6a10")]
    request_id: String,
}

/// What went wrong with one of several things that were asked for in one request (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ItemProblem)]
pub struct ItemProblem {
    /// Which kind of problem; stable. A path on this service, where it is explained.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation-failed")]
    kind: String,
    /// What that kind is, in a few words.
    #[schema(example = "Some fields are not valid")]
    title: &'static str,
    /// What went wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Every field that is not valid; the pointers begin at the item.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// Seconds to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem of this kind, with nothing more to say.
    pub fn new(kind: Kind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), retry_after: None }
    }

    /// Says what went wrong this time: nothing that came from a user.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the fields.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The database does not answer.
    pub fn database_unavailable() -> Self {
        Self::new(Kind::DATABASE_UNAVAILABLE).retry_after(DATABASE_BACK)
    }

    /// A fault of our own: told in the log, not to the client.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "answered 500");
        Self::new(Kind::INTERNAL_ERROR)
    }

    /// Which kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Body and headers of the answer; the status is that of the kind.
    pub fn write(&self, request_id: &str, headers: &mut HeaderMap) -> Body {
        self.write_headers(headers);
        Body::from(self.json(request_id))
    }

    /// The headers alone.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(header::CONTENT_LENGTH);
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
        }
        if self.kind.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.kind == Kind::REQUEST_TIMEOUT {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// For one of several things.
    pub fn of_item(&self) -> ItemProblem {
        ItemProblem {
            kind: self.kind.uri(),
            title: self.kind.title(),
            detail: self.detail.as_deref().map(str::to_owned),
            errors: self.errors.clone(),
            retry_after: self.retry_after.map(|delay| delay.as_secs().max(1)),
        }
    }

    /// The body alone.
    pub fn json(&self, request_id: &str) -> Vec<u8> {
        let body = ProblemBody {
            kind: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: self.detail.as_deref().map(str::to_owned),
            errors: self.errors.clone(),
            request_id: request_id.to_owned(),
        };
        // Texts and numbers always have a JSON form.
        serde_json::to_vec(&body).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_problem_is_written_with_its_fields_as_pointers() {
        let errors = vec![FieldError::field("a/b~c", "is not known"), FieldError::body("x")];
        let json = Problem::new(Kind::VALIDATION_FAILED).errors(errors).json("id-1");
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&json).unwrap(),
            serde_json::json!({"type": "/problems/validation-failed", "title": "Some fields are not valid", "status": 422,
                "errors": [{"pointer": "/a~1b~0c", "detail": "is not known"}, {"pointer": "", "detail": "x"}],
                "request_id": "id-1"})
        );
    }
}
