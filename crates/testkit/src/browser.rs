//! Pages as a browser shows them.

mod visit;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::dir::Dir;
use crate::eventually::eventually;
use crate::process::Process;

pub use visit::{Visit, in_chromium};

/// For a page and what it fetches, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);
/// Debian's, and what it is called elsewhere.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Nothing but the page: no other hosts, no files of the user's, no traffic of the browser's own.
const ALONE: [&str; 9] = [
    "--headless",
    "--disable-gpu",
    // Pages are the tests' own; root has no sandbox, nor has a container.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/// What the page at this address looks like to Chromium once its scripts have nothing left to do: its elements as HTML.
///
/// # Panics
/// There is no Chromium, it fails, or it takes two minutes.
pub async fn page_in_chromium(url: &str) -> String {
    // Waits for what is fetched, and for timers of so many milliseconds.
    dump(url, &["--virtual-time-budget=20000"]).await
}

/// The same as soon as the page and its frames are loaded: for one that never stops listening to its server.
///
/// # Panics
/// There is no Chromium, it fails, or it takes two minutes.
pub async fn page_in_chromium_once_loaded(url: &str) -> String {
    dump(url, &[]).await
}

async fn dump(url: &str, patience: &[&str]) -> String {
    let home = Dir::new("browser");
    let shown = home.path().join("page.html");
    let mut command = Command::new(chromium());
    command
        .args(ALONE)
        .arg(format!("--user-data-dir={}", home.path().display()))
        .args(patience)
        .args(["--dump-dom", url])
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .stdout(File::create(&shown).unwrap())
        .stderr(File::create(home.path().join("errors.log")).unwrap());
    let browser = Process::spawn(&mut command).expect("starting Chromium");
    let status = eventually("Chromium has shown the page", PATIENCE, async || browser.status()).await;
    let errors = std::fs::read_to_string(home.path().join("errors.log")).unwrap_or_default();
    assert!(status.success(), "Chromium: {status}\n{errors}");
    std::fs::read_to_string(&shown).unwrap()
}

fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = NAMES.iter().flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)));
    found.into_iter().find(|path| path.is_file()).expect("Chromium on the PATH: scripts/setup browser installs it")
}
