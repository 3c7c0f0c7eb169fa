//! What is the same in every OpenAPI document.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::{Content, HeaderBuilder, Object, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema as _};

use crate::problem::ProblemBody;

/// What every route for POST with a JSON body and an idempotency key may answer, whatever it does.
#[derive(Debug)]
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let allow =
            HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).description(Some("What is allowed."));
        let [bad, unknown, method, late, uri, media, head, internal] = [
            "`malformed-json`, `invalid-idempotency-key`, `bad-request`",
            "`not-found`: another path than this",
            "`method-not-allowed`: another method than POST",
            "`request-timeout`: the request did not arrive in time; the connection is closed.",
            "`uri-too-long`; the connection is closed.",
            "`unsupported-media-type`: not JSON in UTF-8",
            "`head-too-large`; the connection is closed.",
            "`internal-error`",
        ]
        .map(problem);
        let method = method.header("Allow", allow.build());
        let all = [
            (400, bad),
            (404, unknown),
            (405, method),
            (408, late),
            (414, uri),
            (415, media),
            (431, head),
            (500, internal),
        ];
        all.into_iter().map(|(status, response)| (status.to_string(), response.build().into())).collect()
    }
}

fn problem(description: &str) -> ResponseBuilder {
    let body = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
    ResponseBuilder::new().description(description).content("application/problem+json", body)
}

/// The document as text, with a line break at the end: the same wherever it is served.
///
/// # Errors
/// Never in practice: it consists of texts and numbers.
pub fn written(mut document: OpenApi) -> Result<String, serde_json::Error> {
    document.servers = None;
    headers_are_texts(&mut document);
    Ok(document.to_pretty_json()? + "\n")
}

/// A header may be left out, and is never null, which is what the derive makes of an `Option`.
fn headers_are_texts(document: &mut OpenApi) {
    let operations = document.paths.paths.values_mut().flat_map(operations);
    for parameter in operations.filter_map(|operation| operation.parameters.as_mut()).flatten() {
        if let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter {
            schema.schema_type = Type::String.into();
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [path.get.as_mut(), path.post.as_mut()].into_iter().flatten()
}
