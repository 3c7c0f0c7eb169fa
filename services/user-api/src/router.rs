//! Which path leads where, and through which layers.

use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::post;
use tower::util::option_layer;
use web::middleware::rate_limit::RateLimit;
use web::middleware::{headers, host, rate_limit, request_id, span, timeout};
use web::{Kind, Problem, docs};

use crate::NAME;
use crate::cors::{self, Origin};
use crate::routes::{self, Api};
use crate::{error, openapi};

/// Everything that is served.
pub fn router(api: Api, rate_limit: Option<RateLimit>, request_timeout: Duration, origins: &[Origin]) -> Router {
    let requests = span::Requests::of(NAME);
    let limited = from_fn_with_state(rate_limit, rate_limit::layer);
    Router::new()
        .route("/v1/users", post(routes::register).route_layer(limited))
        .merge(docs::routes(openapi::COMMITTED, error::all().collect()))
        .fallback(async || Problem::new(Kind::NOT_FOUND).into_response())
        .layer(from_fn_with_state(request_timeout, timeout::layer))
        .layer(from_fn(host::layer))
        // Outside of all that may refuse: a page may read why.
        .layer(option_layer(cors::layer(origins)))
        .layer(from_fn(request_id::layer))
        .layer(from_fn(headers::layer))
        .layer(from_fn_with_state(requests, span::layer))
        .with_state(api)
}
