//! From an outbox to the broker.
//!
//! An application commits a task to the table `outbox` together with what it belongs to, and is done. The [`Relay`] takes it from there:
//! it claims rows, publishes them, and deletes what the broker has confirmed. That a task is published at least once, and by one relay at
//! a time, is checked in `tests/models/src/relay.rs`.
//!
//! What waits is of one [`Kind`]: [`Tasks`] for the queue, unless somebody says otherwise. The worker's events are of another.
//!
//! The table of an application that is not ours comes from [`schema`], and [`Fitness`] finds out whether it is there.

mod args;
mod backlog;
mod cursor;
mod fitness;
mod identifier;
mod kind;
mod metrics;
mod publish;
mod relay;
mod rows;
pub mod schema;
mod table;
mod tasks;

pub use args::RelayArgs;
pub use fitness::Fitness;
pub use identifier::{Identifier, InvalidIdentifier};
pub use kind::{Kind, Names, Waiting};
pub use relay::{Outbox, Relay, RelayOptions};
pub use rows::{Backlog, Claim, backlog, claim};
pub use table::Table;
pub use tasks::{Task, Tasks};
