//! What is the same in every OpenAPI document.

use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::{OpenApi, RefOr};

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
