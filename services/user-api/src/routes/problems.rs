//! `GET /problems/{slug}`: where the `type` of a problem leads.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};

use crate::error::{Kind, Problem};

/// What a kind of problem means, in plain text.
pub async fn explain(Path(slug): Path<String>) -> Response {
    let Some(kind) = Kind::by_slug(&slug) else { return Problem::new(Kind::NotFound).into_response() };
    format!("{} ({})\n\n{}\n", kind.title(), kind.status(), kind.advice()).into_response()
}
