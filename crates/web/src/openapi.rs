//! What is the same in every OpenAPI document.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{Content, HeaderBuilder, Object, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema as _, ToSchema as _};

use crate::problem::ProblemBody;

const PROBLEM: &str = "application/problem+json";

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
        .map(|description| ResponseBuilder::new().description(description));
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

fn problem() -> RefOr<Content> {
    Content::new(Some(Ref::from_schema_name(ProblemBody::name()))).into()
}

/// The document as text, with a line break at the end: the same wherever it is served. What all answers have alike is added here: the
/// id of a request, when to come back, and that errors are problem documents.
///
/// # Errors
/// Never in practice: it consists of texts and numbers.
pub fn written(mut document: OpenApi) -> Result<String, serde_json::Error> {
    document.servers = None;
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(request_id());
        parameters.iter_mut().for_each(is_never_null);
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response {
                complete(status, response);
            }
        }
    }
    Ok(document.to_pretty_json()? + "\n")
}

fn request_id() -> RefOr<Parameter> {
    let parameter = ParameterBuilder::new()
        .name("X-Request-Id")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .schema(Some(Object::with_type(Type::String)))
        .description(Some(
            "Your id for this request: 1 to 64 letters, digits, `.`, `_` and `-`. One is made if there is none, or another than that.",
        ));
    parameter.build().into()
}

fn complete(status: &str, response: &mut Response) {
    let text = Object::with_type(Type::String);
    let (name, schema, description) = match status {
        "401" => ("WWW-Authenticate", text.into(), "`Bearer`"),
        "429" | "503" => ("Retry-After", u64::schema(), "Seconds to wait."),
        _ if status.starts_with('2') => ("X-Request-Id", text.into(), "The id of the request."),
        _ => ("", text.into(), ""),
    };
    if !name.is_empty() {
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
        response.headers.insert(name.to_owned(), header.into());
    }
    if status.starts_with(['4', '5']) {
        response.content.entry(PROBLEM.to_owned()).or_insert_with(problem);
    }
}

/// A parameter may be left out, and is never null, which is what the derive makes of an `Option`.
fn is_never_null(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter
        && let SchemaType::Array(types) = &schema.schema_type
        && let Some(one) = types.iter().find(|one| **one != Type::Null)
    {
        schema.schema_type = one.clone().into();
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [path.get.as_mut(), path.post.as_mut()].into_iter().flatten()
}
