//! What workers say of themselves and the fleet did, for people who look. It decides nothing: losing it loses no mail.

mod report;
mod store;

pub(crate) use report::report;
pub use store::{Minute, Worker};
pub(crate) use store::{Minutes, Queued, Read};

/// A worker of which nothing was heard for so many seconds is not shown.
pub(crate) const SILENT_SECONDS: f64 = 20.0;
