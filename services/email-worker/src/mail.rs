//! One mail: written from templates and put into its envelope, without any I/O.
//!
//! [`Renderer`] makes a [`Rendered`] mail of a task; [`smtp`](crate::smtp) sends it.

mod address;
mod encoding;
mod message;
mod render;

pub use address::Envelope;
pub use render::{MailOptions, Rendered, Renderer, Sender};
