//! What a service says about itself: `/openapi.json`, Swagger UI at `/docs/` from the binary itself, and `/problems/SLUG`.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::{Kind, Problem};

/// Swagger UI sets styles from its script, and shows pictures that it carries along; everything comes from here.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The routes, for a service with this document and these kinds of problems.
pub fn routes<S: Clone + Send + Sync + 'static>(document: &'static str, kinds: Vec<Kind>) -> Router<S> {
    plain(document, kinds)
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(swagger_ui))
        .route("/docs/{*path}", get(swagger_ui))
}

/// The same without Swagger UI: no page runs a script.
pub fn plain<S: Clone + Send + Sync + 'static>(document: &'static str, kinds: Vec<Kind>) -> Router<S> {
    let kinds: Arc<[Kind]> = kinds.into();
    Router::new()
        .route("/openapi.json", get(async move || openapi(document)))
        .route("/problems/{slug}", get(async move |Path(slug): Path<String>| explain(&kinds, &slug)))
}

fn openapi(document: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], document).into_response()
}

/// What a kind of problem means, in plain text: where the `type` of a problem leads.
fn explain(kinds: &[Kind], slug: &str) -> Response {
    let Some(kind) = kinds.iter().find(|kind| kind.slug() == slug) else {
        return Problem::new(Kind::NOT_FOUND).into_response();
    };
    format!("{} ({})\n\n{}\n", kind.title(), kind.status(), kind.advice()).into_response()
}

/// The files of Swagger UI.
async fn swagger_ui(path: Option<Path<String>>) -> Response {
    let path = path.map_or_else(String::new, |Path(path)| path);
    // A badge of another site would otherwise be asked to fetch our document.
    let config = Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true);
    match utoipa_swagger_ui::serve(&path, Arc::new(config)) {
        Ok(Some(file)) => {
            let mut response = file.bytes.into_owned().into_response();
            let headers = response.headers_mut();
            if let Ok(content_type) = HeaderValue::from_str(&file.content_type) {
                headers.insert(header::CONTENT_TYPE, content_type);
            }
            headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
            response
        }
        Ok(None) => Problem::new(Kind::NOT_FOUND).into_response(),
        Err(error) => Problem::internal(error.as_ref()).into_response(),
    }
}
