//! What is served.

mod answer;
mod batch;
mod mail;
mod request;

pub use answer::{Accepted, BatchAnswer, ItemResult};
pub use batch::{LARGEST_BATCH, send_batch};
pub use mail::send;

pub(crate) use batch::__path_send_batch;
pub(crate) use mail::__path_send;
