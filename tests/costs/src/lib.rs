//! What one mail and one registration cost, in figures that repeat: allocations and instructions.
//!
//! `counted-email-worker` and `counted-user-api` are the services as they are, on an allocator that counts; a test holds what they
//! allocate below a ceiling. docs/performance.md has the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests and tools: whatever fails ends the measurement, loudly"
)]

mod counting;
mod stage;

pub use counting::{Count, answer_counts, runtime};
pub use stage::{Mails, Users};
