//! email-worker
pub mod disposition;
pub mod email;
