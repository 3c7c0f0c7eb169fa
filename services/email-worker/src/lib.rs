//! email-worker
pub mod email;
