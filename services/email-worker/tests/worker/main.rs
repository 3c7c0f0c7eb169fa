//! The whole worker, in this process or as one of its own, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod background;
mod bad_input;
mod bare;
mod commands;
mod connections;
mod crash;
mod dead_letters;
mod delivery;
mod delivery_limit;
mod dkim;
mod domains;
mod drain;
mod frames;
mod helpers;
mod holding;
mod late;
mod ledger;
mod lines;
mod mail_log;
mod mail_types;
mod mails_commands;
mod mended;
mod migration;
mod outage;
mod preview;
mod rate;
mod recovery;
mod refusals;
mod start;
mod suppressions;
mod suspects;
mod telemetry;
mod throttling;
mod tls;
