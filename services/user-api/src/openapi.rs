//! The OpenAPI document, generated from the types.

use utoipa::OpenApi;
use web::ProblemBody;

use crate::routes;

/// The document as it is committed and served; a test holds it against [`generate`].
pub const COMMITTED: &str = include_str!("../openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice user API",
        description = "Takes registrations. Every error is `application/problem+json` (RFC 9457); the last part of its \
            `type`, such as `validation-failed`, is stable, and the path leads to an explanation.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(routes::register),
    components(schemas(ProblemBody)),
    tags((name = "users", description = "Registration")),
)]
struct Document;

/// The document as text, with a line break at the end.
///
/// # Errors
/// Never in practice: it consists of texts and numbers.
pub fn generate() -> Result<String, serde_json::Error> {
    web::openapi::written(Document::openapi())
}
