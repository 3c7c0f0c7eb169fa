//! What the file system says of a directory, without reading a file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files beyond these are not looked at: a set has fewer.
const MAX: usize = 4_000;

/// Two of them are equal when nothing was changed in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: PathBuf,
    /// Where a symlink leads: a ConfigMap changes by this alone.
    leads_to: Option<PathBuf>,
    file: Option<File>,
}

/// The file that is read under this name, at the end of all symlinks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds. Beside the time of writing, the time of changing, which nobody can set back.
    written: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// A directory that can't be read looks like an empty one.
    pub(super) fn of(directory: &Path) -> Self {
        let Ok(entries) = fs::read_dir(directory) else { return Self(Vec::new()) };
        let mut entries: Vec<_> = entries
            .flatten()
            .take(MAX)
            // But for `..data`, what begins with a dot is no file of the set: an editor's, perhaps.
            .filter(|entry| {
                let name = entry.file_name();
                !name.as_encoded_bytes().starts_with(b".") || name == "..data"
            })
            .map(|entry| Entry::of(entry.path()))
            .collect();
        entries.sort();
        Self(entries)
    }
}

impl Entry {
    fn of(path: PathBuf) -> Self {
        let leads_to = fs::read_link(&path).ok();
        let file = fs::metadata(&path).ok().map(|found| File {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        });
        Self { name: path, leads_to, file }
    }
}
