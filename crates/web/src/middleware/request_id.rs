//! An id for every request, and the body of every problem, which contains it.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use uuid::Uuid;

use crate::problem::{Kind, Problem};

/// The header, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An id that a client chose is at most so long.
const MAX: usize = 64;

/// A new id.
pub fn generate() -> String {
    Uuid::now_v7().to_string()
}

/// The outermost layer: nothing gets past it without an id, and no error without a body; not even a panic.
pub async fn layer(request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_sane(id));
    let id = given.map_or_else(generate, str::to_owned);
    tracing::Span::current().record("request.id", &id);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| Problem::new(Kind::INTERNAL_ERROR).into_response());
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    // The framework's own answers come without; a page says itself what is wrong.
    let is_error = (status.is_client_error() || status.is_server_error()) && !is_page(&response);
    let problem = problem.or_else(|| is_error.then(|| Problem::new(Kind::of_status(status))));
    if let Some(problem) = problem {
        *response.body_mut() = problem.write(&id, response.headers_mut());
        *response.status_mut() = problem.kind().status();
        // For the span, further out.
        response.extensions_mut().insert(problem);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn is_page(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn is_sane(id: &str) -> bool {
    (1..=MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_client_is_taken_if_it_is_sane() {
        let long = "a".repeat(64);
        for id in ["1", "0199f2a4-7c1e-7d3a-9a55-3c0b8f1f6a10", "a.b_c-d", &long] {
            assert!(is_sane(id), "{id}");
        }
        let longer = "a".repeat(65);
        for id in ["", "a b", "a\"b", "<script>", "\u{e9}", &longer] {
            assert!(!is_sane(id), "{id}");
        }
    }
}
