//! Redrives and discards in the background: asked for once, written down, and done at a steady speed whatever becomes of whoever
//! asked, or of the process that does it.
//!
//! A job means the letters that died before it was asked for. What left the queue is gone from it, so whoever goes on with a job
//! begins at its beginning, and does what is left. One that is killed between a confirmed publish and its acknowledgement leaves a
//! letter in both queues, with one id: it is mailed once (decision 19).

pub mod paper;
mod run;
mod store;

use std::fmt;
use std::str::FromStr;

pub use run::Runner;
pub use store::{Ask, Find, Job, List, State, Stop};

/// What is done to dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Back on the queue.
    Redrive,
    /// Away for good.
    Discard,
}

impl Action {
    /// As it is stored and told.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Redrive, Self::Discard].into_iter().find(|action| action.slug() == text).ok_or(())
    }
}
