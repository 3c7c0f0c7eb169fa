//! Takes registrations over HTTP: one statement commits user and mail task, the relay brings the task to the queue.

pub mod app;
pub mod check;
pub mod config;
pub mod cors;
pub mod db;
pub mod domain;
pub mod error;
pub mod hashing;
pub mod openapi;
pub mod registration;
pub mod router;
pub mod routes;
pub mod telemetry;

/// What the database and the broker call it.
pub const NAME: &str = "user-api";
