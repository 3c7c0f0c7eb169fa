//! What decides how a mail is sent, and when again.

pub mod classify;
pub(crate) mod refusers;
pub mod retry_schedule;
