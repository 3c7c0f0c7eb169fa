//! Which path leads where, and through which layers.

use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::post;
use web::middleware::{headers, host, request_id, span, timeout};
use web::{Kind, Problem, docs};

use crate::NAME;
use crate::keys::{self, Doors};
use crate::routes::{self, Api};
use crate::{error, openapi};

/// Everything that is served.
pub fn router(api: Api, doors: Doors, request_timeout: Duration) -> Router {
    let requests = span::Requests::of(NAME);
    let checked = || from_fn_with_state(doors.clone(), keys::check);
    Router::new()
        .route("/v1/mails", post(routes::send).route_layer(checked()))
        .route("/v1/mails/batch", post(routes::send_batch).route_layer(checked()))
        .merge(docs::routes(openapi::COMMITTED, error::all().collect()))
        .fallback(async || Problem::new(Kind::NOT_FOUND).into_response())
        .layer(from_fn_with_state(request_timeout, timeout::layer))
        .layer(from_fn(host::layer))
        .layer(from_fn(request_id::layer))
        .layer(from_fn(headers::layer))
        .layer(from_fn_with_state(requests, span::layer))
        .with_state(api)
}
