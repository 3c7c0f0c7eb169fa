//! What all services stand on: configuration, telemetry, health and its server, background tasks, shutdown, the database.
//!
//! Nothing in here knows what a registration or a mail is.

pub mod admin;
pub mod backoff;
pub mod config;
mod ending;
pub mod exit;
pub mod health;
pub mod postgres;
pub mod service;
pub mod shutdown;
pub mod table;
pub mod tasks;
pub mod telemetry;
pub mod tls;
mod words;
