//! The OpenAPI document, generated from the types.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use web::{ItemProblem, ProblemBody};

use crate::routes;

/// The document as it is committed and served; a test holds it against [`generate`].
pub const COMMITTED: &str = include_str!("../openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice mail API",
        description = "Takes mails, and sends them as soon as the mail server allows. Every error is `application/problem+json` \
            (RFC 9457); the last part of its `type`, such as `validation-failed`, is stable, and the path leads to an explanation.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(routes::send, routes::send_batch),
    components(schemas(ItemProblem, ProblemBody)),
    modifiers(&Keys),
    tags((name = "mails", description = "Mails")),
)]
struct Document;

/// How a client says who it is.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some("A key that `mail-api keys add` made.".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// The document as text, with a line break at the end.
///
/// # Errors
/// Never in practice: it consists of texts and numbers.
pub fn generate() -> Result<String, serde_json::Error> {
    web::openapi::written(Document::openapi())
}
