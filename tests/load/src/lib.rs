//! What load is made of, and what it is measured with: open-loop arrivals, a producer of bare tasks, samplers, reports, pictures.
//!
//! Two programs use it. `flood` (`make flood`) shows what the product claims, as figures and pictures; `bench` (`make bench`)
//! what each part costs. Every goal is a ratio of figures taken in the same run, or a figure that the machine hardly moves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tools for developers: whatever fails ends the measurement, loudly"
)]

mod open_loop;
pub mod plot;
pub mod process;
mod producer;
mod progress;
mod registrations;
mod report;
mod sampler;
mod servers;
mod statistics;

pub use open_loop::{OpenLoop, Timed};
pub use producer::{Produced, Producer};
pub use progress::Progress;
pub use registrations::{Answer, Registrations};
pub use report::{Goal, Report};
pub use sampler::{Reading, Sample, Sampler};
pub use servers::{Servers, recipient, transactions};
pub use statistics::{Latencies, median, per_second};
