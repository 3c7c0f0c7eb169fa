//! What is served.

mod answer;
mod batch;
mod mail;
mod request;

use ::mail::Types;

use crate::mailing::Taker;

pub use answer::{Accepted, BatchAnswer, ItemResult};
pub use batch::send_batch;
pub use mail::send;

pub(crate) use batch::__path_send_batch;
pub(crate) use mail::__path_send;

/// What handlers need. Clones share everything.
#[derive(Debug, Clone)]
pub struct Api {
    /// Takes mails.
    pub taker: Taker,
    /// The types that there are, as far as anybody here knows them.
    pub types: Option<Types>,
    /// Mails of one batch at most.
    pub largest_batch: usize,
}
