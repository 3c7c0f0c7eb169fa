//! Mails: their types, which are files, and each mail written from them and put into its envelope.
//!
//! [`MailTypes`] is a set of types, read and checked as a whole. [`Watched`] keeps the last good one of a directory that
//! changes. [`Renderer`] makes a [`Rendered`] mail of a task. Sending it is the matter of whoever asked. The files are
//! described in `docs/mail-types.md`.

mod address;
mod dkim;
mod encoding;
mod followed;
mod headers;
mod language;
mod message;
mod plain;
mod problem;
mod render;
mod rendered;
mod return_path;
mod sender;
mod starter;
mod template;
mod types;
mod watched;

pub use address::Envelope;
pub use dkim::{Dkim, DkimKey, DkimName, InvalidDkimKey, InvalidDkimName, Unsigned};
pub use followed::{MailTypesRefused, Source};
pub use language::{InvalidLanguage, Language};
pub use problem::{Problem, Problems};
pub use render::{MailOptions, Renderer, Request, TemplateError, Unwritable};
pub use rendered::Rendered;
pub use return_path::{InvalidReturnPath, ReturnPath};
pub use sender::{InvalidSender, Sender};
pub use starter::starter_files;
pub use types::definition::Priority;
pub use types::fields::{Data, Field, Fields, Kind, WrongData};
pub use types::{MailType, MailTypes};
pub use watched::{State, Types, Watched};
