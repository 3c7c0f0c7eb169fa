//! One mail: written from templates, put into its envelope, handed to a mail server or a folder.
//!
//! [`Renderer`] makes a [`Rendered`] mail of a task without any I/O; a [`Session`] opened by the [`Transport`] sends it
//! and says, when it fails, at which [`Stage`] and how. What the failure means is decided in
//! [`disposition`](crate::disposition).

mod address;
mod config;
mod encoding;
mod message;
mod outcome;
mod render;
mod transport;

pub use address::Envelope;
pub use config::{MailArgs, MailConfigError, TransportKind};
pub use outcome::{Accepted, Broken, Reply, SendError, Stage, Unsendable};
pub use render::{MailOptions, Rendered, Renderer, Sender};
pub use transport::{Login, Session, SmtpOptions, Tls, TlsError, Transport};
