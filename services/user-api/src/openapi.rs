//! The OpenAPI document, generated from the types.

use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{Schema, Type};

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
    tags((name = "users", description = "Registration")),
)]
struct Document;

/// The document as text, with a line break at the end.
///
/// # Errors
/// Never in practice: it consists of texts and numbers.
pub fn generate() -> Result<String, serde_json::Error> {
    let mut document = Document::openapi();
    // The same wherever it is served.
    document.servers = None;
    headers_are_texts(&mut document);
    Ok(document.to_pretty_json()? + "\n")
}

/// A header may be left out, and is never null, which is what the derive makes of an `Option`.
fn headers_are_texts(document: &mut utoipa::openapi::OpenApi) {
    let operations = document.paths.paths.values_mut().filter_map(|path| path.post.as_mut());
    for parameter in operations.filter_map(|operation| operation.parameters.as_mut()).flatten() {
        if let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter {
            schema.schema_type = Type::String.into();
        }
    }
}
