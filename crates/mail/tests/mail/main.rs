//! Mail types as files, from the outside: directories are read, mails are written, and a mail parser that is not ours reads
//! them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod hostile;
mod loading;
mod starter;
mod watching;
mod welcome;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use contract::{EmailAddress, TaskId};
use mail::{MailOptions, MailTypes, Problems, Rendered, Renderer, Request, Unwritable};
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// A directory that is gone when the test is.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mail-types-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// With these files.
    fn of(files: &[(&str, &str)]) -> Self {
        let directory = Self::new();
        for (name, text) in files {
            directory.put(name, text);
        }
        directory
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(files: &[(&str, &str)]) -> Result<MailTypes, Problems> {
    MailTypes::load(Directory::of(files).path())
}

/// A renderer with the types of these files, which must be good.
fn renderer(files: &[(&str, &str)]) -> Renderer {
    let options = MailOptions { from: "Sluice <no-reply@example.com>".parse().unwrap(), product: "Sluice".to_owned() };
    Renderer::with_types(options, load(files).unwrap_or_else(|problems| panic!("{problems}")))
}

fn ada() -> EmailAddress {
    "ada@example.com".parse().unwrap()
}

/// `data` is a JSON object.
fn write(renderer: &Renderer, kind: &str, locale: Option<&str>, data: &Value) -> Result<Rendered, Unwritable> {
    let data: Map<_, _> = data.as_object().unwrap().clone();
    let request = Request { kind: Some(kind), email: &ada(), name: None, locale, data: &data };
    renderer.render_request(&request, TaskId::from_message_id("1"), OffsetDateTime::UNIX_EPOCH)
}
