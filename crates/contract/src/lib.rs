//! What crosses the broker: task types, queue names, headers, events. Data only, no I/O.
//!
//! Both services are tested against the files in `fixtures/`, which freeze every shape that was ever released.

pub mod event;
pub mod header;
pub mod queue;

mod email_address;
mod encoding;
mod locale_tag;
mod malformed;
mod task;
mod task_id;
mod type_name;
mod unique;

pub use email_address::{EmailAddress, InvalidEmailAddress};
pub use event::EventKind;
pub use locale_tag::{InvalidLocaleTag, LocaleTag};
pub use malformed::{MAX_BODY, Malformed};
pub use task::{Attempt, MailTask};
pub use task_id::TaskId;
pub use type_name::{InvalidTypeName, TYPE_WELCOME, TypeName};
pub use unique::{NotUnique, Unique};
