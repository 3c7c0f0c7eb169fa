//! What the file system says of a directory, without reading a file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::types::identity::{Found, Identity};

/// Files beyond these are not looked at: a set has fewer.
const MAX: usize = 4_000;
/// What a ConfigMap's files are behind.
const LINK: &str = "..data";

/// Two of them are equal when nothing was changed in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: PathBuf,
    /// Where a symlink leads: a ConfigMap changes by this alone.
    leads_to: Option<PathBuf>,
    /// The file that is read under this name, at the end of all symlinks.
    file: Option<Identity>,
}

impl Fingerprint {
    /// A directory that can't be read looks like an empty one.
    pub(super) fn of(directory: &Path) -> Self {
        let Ok(entries) = fs::read_dir(directory) else { return Self(Vec::new()) };
        let mut entries: Vec<_> = entries
            .flatten()
            .take(MAX)
            // But for that link, what begins with a dot is no file of the set: an editor's, perhaps.
            .filter(|entry| {
                let name = entry.file_name();
                !name.as_encoded_bytes().starts_with(b".") || name == LINK
            })
            .map(|entry| Entry::of(entry.path()))
            .collect();
        entries.sort();
        Self(entries)
    }

    /// Whether these are the files that it was taken of, and all of them.
    pub(super) fn is_of(&self, read: &Found) -> bool {
        let mut named: BTreeMap<_, _> =
            self.0.iter().filter_map(|entry| Some((entry.name.file_name()?, entry.file.as_ref()))).collect();
        named.remove(OsStr::new(LINK));
        (read.too_many || read.files.len() == named.len())
            && read.files.iter().all(|(name, file)| named.get(name.as_os_str()) == Some(&file.as_ref()))
    }
}

impl Entry {
    fn of(path: PathBuf) -> Self {
        let leads_to = fs::read_link(&path).ok();
        let file = fs::metadata(&path).ok().map(|found| Identity::of(&found));
        Self { name: path, leads_to, file }
    }
}
