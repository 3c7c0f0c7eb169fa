//! Which path leads where, and through which layers.

use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use tower::util::option_layer;

use crate::error::{Kind, Problem};
use crate::middleware::cors::{self, Origin};
use crate::middleware::rate_limit::RateLimit;
use crate::middleware::{headers, host, rate_limit, request_id, span, timeout};
use crate::registration::Registrar;
use crate::routes;
use crate::telemetry::Metrics;

/// What handlers need. Clones share everything.
#[derive(Debug, Clone)]
pub struct Api {
    /// Registers.
    pub registrar: Registrar,
    /// Counts.
    pub metrics: Metrics,
}

/// Everything that is served.
pub fn router(api: Api, rate_limit: Option<RateLimit>, request_timeout: Duration, origins: &[Origin]) -> Router {
    let metrics = api.metrics.clone();
    let limited = from_fn_with_state(rate_limit, rate_limit::layer);
    Router::new()
        .route("/v1/users", post(routes::register).route_layer(limited))
        .route("/openapi.json", get(routes::openapi))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(routes::swagger_ui))
        .route("/docs/{*path}", get(routes::swagger_ui))
        .route("/problems/{slug}", get(routes::explain))
        .fallback(async || Problem::new(Kind::NotFound).into_response())
        .layer(from_fn_with_state(request_timeout, timeout::layer))
        .layer(from_fn(host::layer))
        // Outside of all that may refuse: a page may read why.
        .layer(option_layer(cors::layer(origins)))
        .layer(from_fn(request_id::layer))
        .layer(from_fn(headers::layer))
        .layer(from_fn_with_state(metrics, span::layer))
        .with_state(api)
}
