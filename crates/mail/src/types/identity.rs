//! Which file was read, as the file system tells them apart.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Equal for one file that nobody has written to in between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds. Beside the time of writing, the time of changing, which nobody can set back.
    written: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(crate) fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// What was found behind each name while a set was read; nothing where a name led nowhere, or to one file and then to another.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: BTreeMap<OsString, Option<Identity>>,
    /// There were more than a set may have.
    pub(crate) too_many: bool,
}
