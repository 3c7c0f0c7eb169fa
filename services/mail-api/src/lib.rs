//! The way in for applications that are not ours: mails asked for over HTTP, or the SQL of an outbox for their own database and the relay
//! from there to the queue.

pub mod app;
pub mod asked;
pub mod check;
pub mod config;
pub mod db;
pub mod error;
pub mod keys;
pub mod mailing;
pub mod openapi;
pub mod recipient;
pub mod router;
pub mod routes;
pub mod serve;

/// What the databases and the broker call it.
pub const NAME: &str = "mail-api";
