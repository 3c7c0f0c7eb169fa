//! The dead letters, for the person who looks after them: list them, put them back, throw them away.
//!
//! All three read the queue in bulk and leave what they do not take. Why one at a time: decision 19 in `docs/decisions`.

pub mod discard;
pub mod filter;
mod letter;
pub mod list;
pub mod redrive;
mod table;

pub use filter::Filter;
pub use letter::Letter;

/// What was done, by a command that may have been interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Letters moved, or thrown away.
    pub letters: usize,
    /// It was told to stop before its end.
    pub interrupted: bool,
}
