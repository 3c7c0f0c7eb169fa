//! One .eml a mail, in a folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use mail::Rendered;

use super::reply::{Accepted, Broken, SendError, Stage};

/// The folder exists and can be written.
#[derive(Debug)]
pub(super) struct FileSession {
    folder: PathBuf,
}

impl FileSession {
    pub(super) async fn open(folder: &Path) -> Result<Self, SendError> {
        let folder = folder.to_owned();
        let made = folder.clone();
        blocking(Stage::Connect, &folder, move || fs::create_dir_all(made)).await?;
        Ok(Self { folder })
    }

    /// Named after the task: sent twice, it is one file.
    pub(super) async fn send(&self, mail: &Rendered) -> Result<Accepted, SendError> {
        let folder = self.folder.clone();
        let name = mail.task.to_string();
        let bytes = mail.bytes().to_vec();
        blocking(Stage::Content, &self.folder, move || write(&folder, &name, &bytes)).await?;
        Ok(Accepted { reply: String::new() })
    }
}

/// Whoever looks into the folder sees whole mails only.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(format!("{name}.eml")))?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

async fn blocking(
    stage: Stage,
    folder: &Path,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), SendError> {
    let failed = |why: String| SendError::Broken {
        stage,
        cause: Broken::File(format!("{}: {why}", folder.display())),
        fresh: true,
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(error.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}
