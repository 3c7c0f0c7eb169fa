//! `/openapi.json`, and Swagger UI at `/docs/` from the binary itself.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::Config;

use crate::error::{Kind, Problem};
use crate::openapi;

/// Swagger UI sets styles from its script, and shows pictures that it carries along; everything comes from here.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The document, as it is committed.
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], openapi::COMMITTED)
        .into_response()
}

/// The files of Swagger UI.
pub async fn swagger_ui(path: Option<Path<String>>) -> Response {
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
        Ok(None) => Problem::new(Kind::NotFound).into_response(),
        Err(error) => Problem::internal(error.as_ref()).into_response(),
    }
}
