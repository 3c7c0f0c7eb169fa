//! The whole system, with faults on purpose. Each file is one kind of fault.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker_outage;
mod database_outage;
mod fleet_rate;
mod metrics;
mod monitoring;
mod relay_crashes;
mod start;
mod suspects;
mod traces;
mod tutorial_clients;
mod worker_crashes;
