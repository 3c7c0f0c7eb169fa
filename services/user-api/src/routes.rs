//! What is served.

mod accept_language;
mod body;
mod docs;
mod problems;
mod registration_body;
mod users;

pub use docs::{openapi, swagger_ui};
pub use problems::explain;
pub use users::{UserBody, register};

pub(crate) use users::__path_register;
