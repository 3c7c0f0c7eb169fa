//! Which path leads where, and through which doors.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use web::middleware::{headers, host, request_id, span, timeout};
use web::{HttpArgs, Kind, Problem, docs};

use super::door::Asker;
use super::site::Site;
use super::{NAME, api, dead_letters, door, openapi, pages, sign_in};

/// Everything that is served.
pub(super) fn all(site: &Arc<Site>, http: &HttpArgs) -> Router {
    let for_people = Router::new()
        .route("/", get(pages::overview))
        .route("/live", get(pages::overview_live))
        .route("/jobs/{id}/live", get(dead_letters::pages::job_live))
        .route("/mails", get(pages::find).post(pages::found))
        .route("/mails/{id}", get(pages::mail))
        .route("/sending", get(pages::sending).post(pages::act))
        .route("/unsuppress", post(pages::unsuppress))
        .route("/dead-letters", get(dead_letters::pages::list))
        .route("/dead-letters/confirm", post(dead_letters::pages::confirm))
        .route("/dead-letters/{id}", get(dead_letters::pages::letter))
        .route("/jobs", get(dead_letters::pages::jobs).post(dead_letters::pages::start))
        .route("/jobs/{id}", get(dead_letters::pages::job))
        .route("/jobs/{id}/stop", post(dead_letters::pages::stop))
        .route("/history", get(pages::history))
        .route("/sign-out", post(sign_in::out))
        .route_layer(from_fn_with_state(Arc::clone(site), door::pages));
    let for_programs = Router::new()
        .route("/v1/mails/{id}", get(api::mail))
        .route("/v1/mails/search", post(api::search))
        .route("/v1/queues", get(api::queues))
        .route("/v1/fleet", get(api::fleet))
        .route("/v1/sending", get(api::sending))
        .route("/v1/sending/pause", post(api::pause))
        .route("/v1/sending/resume", post(api::resume))
        .route("/v1/sending/limit", post(api::limit))
        .route("/v1/sending/unlimit", post(api::unlimit))
        .route("/v1/circuit/close", post(api::close_circuit))
        .route("/v1/dead-letters", get(dead_letters::api::list))
        .route("/v1/dead-letters/redrive", post(dead_letters::api::redrive))
        .route("/v1/dead-letters/discard", post(dead_letters::api::discard))
        .route("/v1/dead-letters/{id}", get(dead_letters::api::letter))
        .route("/v1/jobs", get(dead_letters::api::jobs))
        .route("/v1/jobs/{id}", get(dead_letters::api::job))
        .route("/v1/jobs/{id}/stop", post(dead_letters::api::stop))
        .route("/v1/actions", get(api::history))
        .route_layer(from_fn_with_state(Arc::clone(site), door::api));
    Router::new()
        .merge(for_people)
        .merge(for_programs)
        // What can be asked is no secret; without a token nothing is answered.
        .merge(docs::plain(openapi::COMMITTED, openapi::kinds().collect()))
        .route("/sign-in", get(sign_in::form).post(sign_in::with_token))
        .route("/sign-in/provider", get(sign_in::to_provider))
        .route("/sign-in/callback", get(sign_in::from_provider))
        .route("/console.css", get(css))
        .route("/console.js", get(js))
        .fallback(nothing)
        .layer(from_fn_with_state(http.request_timeout, timeout::layer))
        .layer(from_fn(host::layer))
        .layer(from_fn(request_id::layer))
        .layer(from_fn(headers::layer))
        .layer(from_fn_with_state(span::Requests::of(NAME), span::layer))
        .with_state(Arc::clone(site))
}

async fn css() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("templates/console.css")).into_response()
}

async fn js() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("templates/console.js")).into_response()
}

/// A program gets a problem, a person a page.
async fn nothing(State(site): State<Arc<Site>>, request: Request) -> Response {
    if request.uri().path().starts_with("/v1/") {
        return Problem::new(Kind::NOT_FOUND).into_response();
    }
    let who = site.session(&Asker::of(&request));
    site.nothing(who.as_ref(), request.headers())
}
