//! One mail of the preview, written with what the page's form says.

use std::sync::Arc;

use contract::TaskId;
use mail::{Language, MailOptions, MailType, MailTypes, Rendered, Renderer, Request};
use time::OffsetDateTime;

use super::asked::Asked;
use crate::typed_data;

/// Who every mail here is for.
const TO: &str = "ada@example.com";

/// The mail, or why it can't be written, in one line for whoever typed the data.
pub(super) fn written(
    types: &Arc<MailTypes>,
    mail_type: &MailType,
    language: &Language,
    asked: &Asked,
    options: &MailOptions,
) -> Result<Rendered, String> {
    let data = match &asked.data {
        Some(typed) => typed_data::object(typed, "the data")?,
        None => mail_type.sample(language),
    };
    let email = TO.parse().map_err(|refused| format!("{TO}: {refused}"))?;
    let request = Request {
        kind: Some(mail_type.name().as_str()),
        email: &email,
        name: Some(asked.name()),
        locale: Some(language.as_str()),
        data: &data,
    };
    let renderer = Renderer::with_types(options.clone(), Arc::clone(types));
    renderer.render_request(&request, TaskId::new(), OffsetDateTime::now_utc()).map_err(|error| error.to_string())
}

/// The recipient as the inbox shows them.
pub(super) fn recipient(asked: &Asked) -> String {
    match asked.name().trim() {
        "" => TO.to_owned(),
        name => format!("{name} <{TO}>"),
    }
}
