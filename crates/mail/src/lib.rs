//! One mail: written from templates and put into its envelope, without any I/O.
//!
//! [`Renderer`] makes a [`Rendered`] mail of a task. Sending it is the matter of whoever asked.

mod address;
mod encoding;
mod message;
mod render;

pub use address::Envelope;
pub use render::{InvalidSender, MailOptions, Rendered, Renderer, Sender, TemplateError};
