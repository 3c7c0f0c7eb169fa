//! What is served.

mod accept_language;
mod registration_body;
mod users;

use crate::registration::Registrar;
use crate::telemetry::Metrics;

pub use users::{UserBody, register};

pub(crate) use users::__path_register;

/// What handlers need. Clones share everything.
#[derive(Debug, Clone)]
pub struct Api {
    /// Registers.
    pub registrar: Registrar,
    /// Counts.
    pub metrics: Metrics,
}
