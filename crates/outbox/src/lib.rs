//! From an outbox to the queue.
//!
//! An application commits a task to the table `outbox` together with what it belongs to, and is done. The [`Relay`] takes it from there:
//! it claims rows, publishes them, and deletes what the broker has confirmed. That a task is published at least once, and by one relay at
//! a time, is checked in `tests/models/src/relay.rs`.

mod backlog;
mod cursor;
mod metrics;
mod publish;
mod relay;
mod rows;

pub use backlog::watch as watch_backlog;
pub use relay::{Outbox, Relay, RelayOptions};
pub use rows::{Backlog, Claim, Task, backlog, claim};
