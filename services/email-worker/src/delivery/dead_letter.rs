//! Why a task is put aside for good.

use crate::send::classify::DeadReason;

/// Why a task is put aside: the reason to count and select by, and a sentence for whoever reads the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What was decided.
    pub reason: DeadReason,
    /// One sentence. It never contains an address.
    pub detail: String,
}

impl DeadLetter {
    /// A reason with its explanation.
    pub fn new(reason: DeadReason, detail: impl ToString) -> Self {
        Self { reason, detail: detail.to_string() }
    }
}
