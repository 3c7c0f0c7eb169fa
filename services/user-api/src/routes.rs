//! What is served.

mod accept_language;
mod registration_body;
mod users;

pub use users::{UserBody, register};

pub(crate) use users::__path_register;
