//! What clients are told.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{IDEMPOTENCY_REPLAYED, ItemProblem, Problem};

/// A mail that will be sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// The id of the mail: a UUIDv7. Dead letters, logs and traces name it.
    pub id: Uuid,
}

/// What became of the mails of a batch, in the order in which they were given.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// One for each mail.
    pub results: Vec<ItemResult>,
}

/// What became of one mail: an id, or a problem.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemResult {
    /// What the answer would have been, had it been asked for alone.
    #[schema(example = 202)]
    pub status: u16,
    /// The id of the mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<Uuid>,
    /// Why it was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ItemProblem, required = false)]
    pub problem: Option<Value>,
}

impl ItemResult {
    /// It was taken.
    pub(super) fn taken(id: Uuid) -> Self {
        Self { status: StatusCode::ACCEPTED.as_u16(), id: Some(id), problem: None }
    }

    /// It was not.
    pub(super) fn refused(problem: &Problem) -> Self {
        let status = problem.kind().status().as_u16();
        // Texts and numbers always have a JSON form.
        Self { status, id: None, problem: serde_json::to_value::<ItemProblem>(problem.of_item()).ok() }
    }
}

pub(super) fn accepted(id: Uuid, replayed: bool) -> Response {
    finished((StatusCode::ACCEPTED, Json(Accepted { id })).into_response(), replayed)
}

/// 207 where not all of it is as good as the status says.
pub(super) fn batch(results: Vec<ItemResult>, replayed: bool) -> Response {
    let all = results.iter().all(|result| result.id.is_some());
    let status = if all { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    finished((status, Json(BatchAnswer { results })).into_response(), replayed)
}

fn finished(mut response: Response, replayed: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
