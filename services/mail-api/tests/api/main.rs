//! `serve` over HTTP, with a real PostgreSQL and, where it matters, a real broker: the very value that the command runs.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod background;
mod bad_input;
mod batch;
mod check;
mod docs;
mod idempotency;
mod keys;
mod limits;
mod mail_types;
mod outages;
mod process;
mod speed;
mod support;
mod taking;
