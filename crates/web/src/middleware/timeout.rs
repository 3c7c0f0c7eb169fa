//! A limit to how long a request may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Extensions;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::{Kind, Problem};

/// Lets a handler say that the request has arrived, so that it is clear whose fault a delay is.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<AtomicBool>);

impl Received {
    /// All of the request with these extensions is here: what takes long from now on is not the client.
    pub fn all_of(extensions: &Extensions) {
        if let Some(Self(received)) = extensions.get() {
            received.store(true, Relaxed);
        }
    }
}

/// Answers 408 if the client is what takes so long, 503 if it is us.
pub async fn layer(State(limit): State<Duration>, mut request: Request, next: Next) -> Response {
    let received = Received::default();
    request.extensions_mut().insert(received.clone());
    if let Ok(response) = tokio::time::timeout(limit, next.run(request)).await {
        return response;
    }
    if received.0.load(Relaxed) {
        tracing::warn!(?limit, "answered 503: not ready in time");
        Problem::new(Kind::SERVER_TIMEOUT).retry_after(Duration::from_secs(2)).into_response()
    } else {
        Problem::new(Kind::REQUEST_TIMEOUT).into_response()
    }
}
