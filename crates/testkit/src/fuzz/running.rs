//! The input that is being run, in a file: a stack overflow or an endless loop leaves nothing else behind.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// One file, written over before each input and gone after the last.
pub(super) struct Running {
    path: PathBuf,
    file: File,
    length: Cell<usize>,
}

impl Running {
    pub(super) fn new(directory: &Path) -> Self {
        let path = path(directory, std::process::id());
        let file = File::create(&path).expect("a file for what runs");
        Self { path, file, length: Cell::new(0) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It is not flushed to the disk: what was written outlives the process, if not the machine.
    pub(super) fn note(&self, input: &[u8]) {
        if input.len() < self.length.replace(input.len()) {
            self.file.set_len(input.len() as u64).expect("cutting what ran before");
        }
        self.file.write_all_at(input, 0).expect("writing what runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Two tests of one target in one process share the file: the other one may have been quicker.
        let _ = fs::remove_file(&self.path);
    }
}

/// The file of that process.
pub(super) fn path(directory: &Path, process: u32) -> PathBuf {
    directory.join(format!("running-{process}"))
}
