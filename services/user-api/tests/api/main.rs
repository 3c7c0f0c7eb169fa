//! The service over HTTP, with a real PostgreSQL: the very app that `serve` runs, on a port of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod background;
mod bad_input;
mod check;
mod connections;
mod cors;
mod cors_in_chromium;
mod database;
mod docs;
mod drain;
mod idempotency;
mod limits;
mod pooler;
mod process;
mod registration;
mod relay;
mod slow_clients;
mod support;
mod telemetry;
mod tls;
mod twins;
