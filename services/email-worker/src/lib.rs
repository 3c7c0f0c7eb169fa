//! Takes mail tasks off the queue and sends each mail once, at the rate the mail server bears.
//!
//! A task travels through these modules in this order: [`intake`] takes it off the queue, [`task`] reads it, [`flight`]
//! claims it in the [`ledger`], waits for the [`circuit`], a slot of [`slots`] and the fleet's [`rate`], has [`email`]
//! render and send it, and, when that fails, does what [`disposition`] decides by publishing one of the [`moves`].

pub mod app;
pub mod circuit;
pub mod cli;
mod clock;
pub mod config;
pub mod dead;
mod delivery_limit;
pub mod disposition;
pub mod email;
pub mod flight;
mod hold;
pub mod intake;
pub mod ladder;
pub mod ledger;
pub mod metrics;
pub mod moves;
pub mod prefetch;
mod prober;
pub mod queue_migration;
pub mod rate;
pub mod reading;
mod refusers;
pub mod retention;
pub mod slots;
pub mod spans;
pub mod task;
