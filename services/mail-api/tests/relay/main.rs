//! The relay on the database of somebody else's application, with a real PostgreSQL and a real broker: the very app that `relay` runs.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod background;
mod bouncer;
mod broker;
mod contract;
mod database;
mod enqueue;
mod examples;
mod fitness;
mod load;
mod process;
mod support;
