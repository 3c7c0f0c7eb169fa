//! The files of a directory, read whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use crate::problem::Problem;

/// Longest file, in bytes.
pub(crate) const MAX_FILE: u64 = 256 * 1024;
/// Most files of a set.
pub(crate) const MAX_FILES: usize = 1_000;
/// All files of a set together, in bytes. A ConfigMap holds a mebibyte.
pub(crate) const MAX_ALL: usize = 16 * 1024 * 1024;

/// Contents by name, lines ended by LF.
pub(crate) type Files = BTreeMap<String, String>;

/// Reads every file of a directory but those whose names begin with a dot.
pub(crate) fn read(directory: &Path, problems: &mut Vec<Problem>) -> Files {
    let mut files = Files::new();
    let whole = |error: &dyn std::fmt::Display| Problem::new(directory.display().to_string(), None, error.to_string());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(whole(&format_args!("the directory can't be read: {error}")));
            return files;
        }
    };
    let (mut count, mut all) = (0, 0);
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
        count += 1;
        if count > MAX_FILES {
            problems.push(whole(&format_args!("more than {MAX_FILES} files")));
            break;
        }
        match read_file(&entry.path()) {
            Ok(text) => {
                all += text.len();
                files.insert(name, text);
            }
            Err((line, why)) => problems.push(Problem::new(name, line, why)),
        }
        if all > MAX_ALL {
            problems.push(whole(&format_args!("more than {MAX_ALL} bytes in all files together")));
            break;
        }
    }
    files
}

/// What is wrong, and in which line.
type Unreadable = (Option<usize>, String);

fn read_file(path: &Path) -> Result<String, Unreadable> {
    let unreadable = |error: std::io::Error| (None, format!("can't be read: {error}"));
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err((None, "a directory: mail types are files in one flat directory".to_owned()));
    }
    // A pipe would be waited for.
    if !metadata.is_file() {
        return Err((None, "not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
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
