//! What both services stand on: configuration, exit codes, shutdown, health.
//!
//! Nothing in here knows what a registration or a mail is.

pub mod backoff;
pub mod config;
pub mod exit;
pub mod health;
pub mod shutdown;
