//! Files that change while mails are sent.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mail::{MailTypes, State, Types, Watched};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Directory;

const PAUSE: Duration = Duration::from_millis(20);
/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory, and a task that follows it.
struct Following {
    directory: Directory,
    types: Types,
    state: watch::Receiver<State>,
    token: CancellationToken,
    task: JoinHandle<()>,
}

impl Following {
    /// A file is saved, and is in the next mail. To its end.
    async fn takes_what_is_saved(mut self) {
        self.directory.put("note.en.subject", "subject 2");
        let state = self.changed().await;
        assert_eq!((state.reads, state.refused), (1, None));
        assert_eq!(self.subject(), "subject 2");
        self.end().await;
    }

    fn new(directory: Directory) -> Self {
        let watched = Watched::new(directory.path()).unwrap();
        Self::by(watched, directory)
    }

    fn by(watched: Watched, directory: Directory) -> Self {
        let watched = watched.every(PAUSE);
        let (types, state, token) = (watched.types(), watched.state(), CancellationToken::new());
        let task = tokio::spawn(watched.run(token.clone()));
        Self { directory, types, state, token, task }
    }

    /// The state after the next change that is read.
    async fn changed(&mut self) -> State {
        tokio::time::timeout(PATIENCE, self.state.changed()).await.expect("the change is seen").unwrap();
        self.state.borrow_and_update().clone()
    }

    fn subject(&self) -> String {
        subject(&self.types.current())
    }

    async fn end(self) {
        self.token.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends when it is told to").unwrap();
    }
}

fn subject(types: &Arc<MailTypes>) -> String {
    let options = mail::MailOptions { from: "a@example.com".parse().unwrap(), product: "Sluice".to_owned() };
    let renderer = mail::Renderer::with_types(options, Arc::clone(types));
    crate::write(&renderer, "note", None, &json!({})).unwrap().subject().to_owned()
}

fn files(version: &str) -> [(&'static str, String); 3] {
    [
        ("note.toml", String::new()),
        ("note.en.subject", format!("subject {version}")),
        ("note.en.txt", format!("text {version}")),
    ]
}

fn plain(version: &str) -> Directory {
    let directory = Directory::new();
    files(version).iter().for_each(|(name, text)| directory.put(name, text));
    directory
}

/// As the kubelet mounts a ConfigMap, and changes it: files in a hidden directory, reached by a hidden link, which is replaced.
fn mount(directory: &Directory, version: &str, files: &[(&str, String)]) {
    let path = directory.path();
    let hidden = format!("..{version}");
    fs::create_dir(path.join(&hidden)).unwrap();
    for (name, text) in files {
        fs::write(path.join(&hidden).join(name), text).unwrap();
    }
    let before = fs::read_link(path.join("..data")).ok();
    symlink(&hidden, path.join("..data_tmp")).unwrap();
    fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    for (name, _) in files {
        let _ = symlink(format!("..data/{name}"), path.join(name));
    }
    for entry in fs::read_dir(path).unwrap().flatten() {
        if fs::metadata(entry.path()).is_err() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    if let Some(before) = before {
        fs::remove_dir_all(path.join(before)).unwrap();
    }
}

#[tokio::test]
async fn a_saved_file_is_in_the_next_mail() {
    let following = Following::new(plain("1"));
    assert_eq!(following.subject(), "subject 1");
    following.takes_what_is_saved().await;
}

#[tokio::test]
async fn a_config_map_that_is_swapped_is_in_the_next_mail() {
    let directory = Directory::new();
    mount(&directory, "1", &files("1"));
    let mut following = Following::new(directory);
    assert_eq!(following.subject(), "subject 1");
    let mut more = files("2").to_vec();
    more.extend([
        ("other.toml", String::new()),
        ("other.en.subject", "Other".to_owned()),
        ("other.en.txt", "Other".to_owned()),
    ]);
    mount(&following.directory, "2", &more);
    assert!(following.changed().await.refused.is_none());
    assert_eq!(following.subject(), "subject 2");
    assert!(following.types.current().get("other").is_some());
    mount(&following.directory, "3", &files("3"));
    assert!(following.changed().await.refused.is_none());
    assert_eq!(following.subject(), "subject 3");
    assert!(following.types.current().get("other").is_none());
    following.end().await;
}

#[tokio::test]
async fn a_bad_set_leaves_the_one_before_it_and_is_told_of_once() {
    let mut following = Following::new(plain("1"));
    following.directory.put("note.en.subject", "subject {{ nobody }}");
    following.directory.put("note.en.txt", "text 2");
    let refused = following.changed().await.refused.expect("it is refused");
    assert_eq!(refused.to_string(), "note.en.subject:1: `nobody` is not there");
    assert_eq!(following.subject(), "subject 1");
    // Nothing is to come: ten more looks.
    tokio::time::sleep(PAUSE * 10).await;
    assert!(!following.state.has_changed().unwrap(), "it is told of once");
    following.directory.put("note.en.subject", "subject 3");
    assert!(following.changed().await.refused.is_none());
    assert_eq!(following.subject(), "subject 3");
    following.end().await;
}

#[tokio::test]
async fn a_directory_that_goes_away_leaves_the_types() {
    let mut following = Following::new(plain("1"));
    fs::remove_dir_all(following.directory.path()).unwrap();
    assert!(following.changed().await.refused.is_some());
    assert_eq!(following.subject(), "subject 1");
    following.end().await;
}

/// Subject and text are always of one version, although nothing holds back whoever swaps them.
#[tokio::test]
async fn a_set_of_two_halves_is_never_in_use() {
    let directory = Directory::new();
    mount(&directory, "0", &files("0"));
    let mut following = Following::new(directory);
    let path = following.directory.path().to_owned();
    let swapping = tokio::task::spawn_blocking(move || {
        let directory = std::mem::ManuallyDrop::new(Directory(path));
        for version in 1..=100_u64 {
            let version_text = version.to_string();
            mount(&directory, &version_text, &files(&version_text));
            std::thread::sleep(Duration::from_millis(version % 60));
        }
    });
    let options = mail::MailOptions { from: "a@example.com".parse().unwrap(), product: "Sluice".to_owned() };
    let renderer = mail::Renderer::with_types(options, following.types.clone());
    while !swapping.is_finished() || following.subject() != "subject 100" {
        let mail = crate::write(&renderer, "note", None, &json!({})).unwrap();
        assert_eq!(mail.subject().replace("subject", "text"), mail.text());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    swapping.await.unwrap();
    assert!(following.changed().await.refused.is_none());
    following.end().await;
}

/// Stops somebody when it is dropped, also by a test that fails.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody who swaps a link between two directories, over and over: what is there before a set is read is there again after it.
#[tokio::test]
async fn a_set_of_two_halves_is_never_read_where_two_directories_take_turns() {
    let (root, stop) = (Directory::new(), Stop::default());
    let link = root.path().join("mails");
    for version in ["1", "2"] {
        let directory = root.path().join(version);
        fs::create_dir(&directory).unwrap();
        files(version).iter().for_each(|(name, text)| fs::write(directory.join(name), text).unwrap());
    }
    symlink("1", &link).unwrap();
    let swapping = {
        let (root, stop) = (root.path().to_owned(), Arc::clone(&stop.0));
        tokio::task::spawn_blocking(move || {
            for (turn, version) in (0..).zip(["2", "1"].iter().cycle()).take_while(|_| !stop.load(Ordering::Relaxed)) {
                symlink(version, root.join("next")).unwrap();
                fs::rename(root.join("next"), root.join("mails")).unwrap();
                // Shorter than reading takes, and longer.
                std::thread::sleep(Duration::from_micros(turn % 8 * 50));
            }
        })
    };
    let whole = |types: &Arc<MailTypes>| {
        let options = mail::MailOptions { from: "a@example.com".parse().unwrap(), product: "Sluice".to_owned() };
        let mail = crate::write(&mail::Renderer::with_types(options, Arc::clone(types)), "note", None, &json!({}));
        let mail = mail.unwrap();
        assert_eq!(mail.subject().replace("subject", "text"), mail.text());
    };
    // At the start, many times: it is read whole, or not at all.
    let starts = (0..300).filter(|_| {
        Watched::new(&link).is_ok_and(|watched| {
            whole(&watched.types().current());
            true
        })
    });
    assert!(starts.count() > 0, "it can start all the same");
    drop(stop);
    swapping.await.unwrap();
}

#[test]
fn a_bad_set_at_the_start_is_an_error() {
    assert!(Watched::new("/nowhere/mails").is_err());
}

#[tokio::test]
async fn whoever_is_patient_has_the_built_in_types_until_a_bad_set_is_mended() {
    let directory = plain("1");
    directory.put("note.en.subject", "subject {{ nobody }}");
    let watched = Watched::patient(directory.path()).unwrap();
    let following = Following::by(watched, directory);
    let refused = following.state.borrow().refused.clone().expect("it is refused from the start");
    assert_eq!(refused.to_string(), "note.en.subject:1: `nobody` is not there");
    assert!(following.types.current().iter().all(mail::MailType::is_built_in));
    following.takes_what_is_saved().await;
}

#[tokio::test]
async fn whoever_is_patient_may_begin_without_a_directory_and_has_a_good_one_at_once() {
    let directory = plain("1");
    let watched = Watched::patient(directory.path()).unwrap();
    assert!(watched.state().borrow().refused.is_none());
    assert_eq!(subject(&watched.types().current()), "subject 1");

    let path = directory.path().to_owned();
    drop(directory);
    let watched = Watched::patient(&path).unwrap();
    assert!(watched.state().borrow().refused.is_some());
    let mut following = Following::by(watched, Directory(path.clone()));
    fs::rename(plain("2").path(), &path).unwrap();
    assert!(following.changed().await.refused.is_none());
    assert_eq!(following.subject(), "subject 2");
    following.end().await;
}
