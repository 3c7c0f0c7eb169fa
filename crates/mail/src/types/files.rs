//! The files of a directory, read whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::identity::{Found, Identity};
use crate::problem::Problem;

/// Longest file, in bytes.
pub(crate) const MAX_FILE: u64 = 256 * 1024;
/// Most files of a set.
pub(crate) const MAX_FILES: usize = 1_000;
/// All files of a set together, in bytes. A ConfigMap holds a mebibyte.
pub(crate) const MAX_ALL: usize = 16 * 1024 * 1024;

/// Contents by name, lines ended by LF.
pub(crate) type Files = BTreeMap<String, String>;

/// Reads every file of a directory but those whose names begin with a dot, and tells which ones they were.
pub(crate) fn read(directory: &Path, problems: &mut Vec<Problem>) -> (Files, Found) {
    let (mut files, mut found) = (Files::new(), Found::default());
    let whole = |error: &dyn std::fmt::Display| Problem::new(directory.display().to_string(), None, error.to_string());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(whole(&format_args!("the directory can't be read: {error}")));
            return (files, found);
        }
    };
    let mut all = 0;
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(whole(&error));
                continue;
            }
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if found.files.len() == MAX_FILES {
            problems.push(whole(&format_args!("more than {MAX_FILES} files")));
            found.too_many = true;
            break;
        }
        let (read, identity) = read_file(&entry.path());
        found.files.insert(entry.file_name(), identity);
        match read {
            Ok(text) => {
                all += text.len();
                files.insert(name, text);
            }
            Err((line, why)) => problems.push(Problem::new(name, line, why)),
        }
        if all > MAX_ALL {
            problems.push(whole(&format_args!("more than {MAX_ALL} bytes in all files together")));
            found.too_many = true;
            break;
        }
    }
    (files, found)
}

/// What is wrong, and in which line.
type Unreadable = (Option<usize>, String);

fn read_file(path: &Path) -> (Result<String, Unreadable>, Option<Identity>) {
    let unreadable = |error: std::io::Error| (None, format!("can't be read: {error}"));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return (Err(unreadable(error)), None),
    };
    let identity = Identity::of(&metadata);
    if metadata.is_dir() {
        let what = "a directory: mail types are files in one flat directory".to_owned();
        return (Err((None, what)), Some(identity));
    }
    // A pipe would be waited for.
    if !metadata.is_file() {
        return (Err((None, "not a file".to_owned())), Some(identity));
    }
    match contents(path) {
        // What was opened may be another file already.
        Ok((bytes, opened)) => (text(bytes), (opened == identity).then_some(identity)),
        // Gone between the two looks, or not to be opened.
        Err(error) => {
            let identity = (error.kind() != ErrorKind::NotFound).then_some(identity);
            (Err(unreadable(error)), identity)
        }
    }
}

fn contents(path: &Path) -> std::io::Result<(Vec<u8>, Identity)> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    let opened = Identity::of(&file.metadata()?);
    Ok((bytes, opened))
}

fn text(bytes: Vec<u8>) -> Result<String, Unreadable> {
    if bytes.len() as u64 > MAX_FILE {
        return Err((None, format!("more than {MAX_FILE} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        (Some(line), "not UTF-8".to_owned())
    })?;
    let text = normal(&text);
    match text.match_indices(|c: char| c.is_control() && !matches!(c, '\n' | '\t')).next() {
        Some((at, found)) => {
            let line = text[..at].matches('\n').count() + 1;
            let code = found.chars().next().map_or(0, u32::from);
            Err((Some(line), format!("has the control character U+{code:04X}")))
        }
        None => Ok(text),
    }
}

/// Without the mark that some programs begin a file with, lines ended by LF.
pub(crate) fn normal(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n")
}
