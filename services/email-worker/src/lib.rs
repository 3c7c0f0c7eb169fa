//! Takes mail tasks off the queue and sends each mail once, at the rate the mail server bears.
//!
//! A task travels through these modules in this order: the [`consumer`] takes it off the queue, [`delivery`] reads it and
//! claims it in the [`ledger`], waits for the [`circuit_breaker`], a connection of [`smtp`] and the fleet's [`rate`], has
//! [`mail`] write it as its types say and [`smtp`] send it, and, when that fails, publishes it again as [`send`] decides.
//! What became of each mail stands in the [`mail_log`], and is told to others as [`events`].

pub mod app;
mod aside;
pub mod circuit_breaker;
pub mod cli;
mod clock;
pub mod config;
pub mod console;
pub mod consumer;
pub mod controls;
pub mod dead_letters;
pub mod delivery;
pub mod events;
pub mod fleet;
mod health_probe;
pub mod ledger;
pub mod mail_log;
pub mod metrics;
mod paper;
mod preview;
pub mod queue_migration;
pub mod rate;
pub mod reading;
pub mod send;
pub mod smtp;
pub mod spans;
pub mod suppressions;
pub mod tls;
mod typed_data;
