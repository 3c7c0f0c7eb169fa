//! How much of it.

use std::time::Duration;

use load::OpenLoop;

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// What figures are taken from.
    Full,
    /// A tenth, and each comparison once: shows that it runs.
    Tenth,
}

impl Scale {
    /// So many of so many.
    pub(crate) fn count(self, full: usize) -> usize {
        if self == Self::Full { full } else { full / 10 }
    }

    /// So long of so long.
    pub(crate) fn length(self, full: Duration) -> Duration {
        if self == Self::Full { full } else { full / 10 }
    }

    /// The same rate, for so long of so long.
    pub(crate) fn load(self, full: OpenLoop) -> OpenLoop {
        OpenLoop { length: self.length(full.length), ..full }
    }

    /// How often a comparison is made.
    pub(crate) fn rounds(self, full: usize) -> usize {
        if self == Self::Full { full } else { 1 }
    }
}
