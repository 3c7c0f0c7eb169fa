//! The file transport.

use std::fs;
use std::path::PathBuf;

use email_worker::smtp::Transport;

use crate::{mail, short};

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sluice-mail-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

#[tokio::test]
async fn a_mail_becomes_one_file_however_often_it_is_sent() {
    let folder = folder("once");
    let mail = mail();
    for _ in 0..2 {
        let mut session = Transport::file(folder.join("deep")).open().await.unwrap();
        session.send(&mail).await.unwrap();
        assert!(session.is_usable() && session.check().await);
        session.quit().await;
    }
    let files: Vec<_> = fs::read_dir(folder.join("deep")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, [format!("{}.eml", mail.task).as_str()]);
    assert_eq!(fs::read(folder.join("deep").join(&files[0])).unwrap(), mail.bytes());
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_fails_at_connect() {
    let folder = folder("blocked");
    fs::write(&folder, "a file").unwrap();
    let error = Transport::file(folder.join("deep")).open().await.unwrap_err();
    assert_eq!(short(&error), "connect file");
    fs::remove_file(folder).unwrap();
}
