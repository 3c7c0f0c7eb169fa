//! Nothing outlives the test process.
//!
//! A small shell reads a pipe whose other end only this process holds. When the pipe closes, for whatever reason (the end of
//! `main`, a panic, Ctrl-C, SIGKILL), the shell kills what was started here and removes its files. It knows them twice:
//! by process ids told over the pipe, and by a variable in their environment that all their descendants inherit, so that
//! there is no moment between fork and telling in which a process could escape.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// The variable that marks every descendant.
const MARK: &str = "SLUICE_TESTKIT";

const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
mark=$1 root=$2 pids=
while read -r verb pid; do
  case $verb in
    started) pids="$pids $pid" ;;
    ended) rest=; for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done; pids=$rest ;;
  esac
done
# PostgreSQL gives its System V segment back only when asked to stop.
for f in "$root"/*/data/postmaster.pid; do
  [ -e "$f" ] && { read -r p <"$f"; kill -QUIT "$p"; kill -CONT "$p"; }
done
for i in 1 2 3 4 5 6 7 8 9 10; do ls "$root"/*/data/postmaster.pid >/dev/null && sleep 0.05; done
for p in $pids; do kill -KILL "$p"; kill -KILL -- "-$p"; done
for i in 1 2 3; do
  for f in $(grep -lzFx "$mark" /proc/[0-9]*/environ); do f=${f#/proc/}; kill -KILL "${f%/environ}"; done
  rm -rf "$root" && break
  sleep 0.1
done
"#;

pub(crate) struct Watchdog {
    mark: String,
    root: PathBuf,
    shell: Mutex<Option<(Child, ChildStdin)>>,
}

impl Watchdog {
    fn get() -> &'static Self {
        static ONE: OnceLock<Watchdog> = OnceLock::new();
        ONE.get_or_init(Self::start)
    }

    fn start() -> Self {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let root = std::env::temp_dir().join(format!("sluice-testkit-{id}"));
        std::fs::create_dir(&root).unwrap_or_else(|e| panic!("making {}: {e}", root.display()));
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "testkit-watchdog", &format!("{MARK}={id}")])
            .arg(&root)
            .env_remove(MARK)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // Ctrl-C is for the test process
            .current_dir("/")
            .spawn()
            .expect("starting /bin/sh as watchdog");
        let pipe = shell.stdin.take().unwrap();
        Self { mark: id, root, shell: Mutex::new(Some((shell, pipe))) }
    }

    /// The directory for everything that this process writes.
    pub(crate) fn root() -> &'static Path {
        &Self::get().root
    }

    /// Marks a command before it is spawned.
    pub(crate) fn mark(command: &mut Command) {
        command.env(MARK, &Self::get().mark);
    }

    pub(crate) fn started(pid: u32) {
        Self::get().tell("started", pid);
    }

    pub(crate) fn ended(pid: u32) {
        Self::get().tell("ended", pid);
    }

    fn tell(&self, verb: &str, pid: u32) {
        let mut shell = self.shell.lock().unwrap();
        if let Some((_, pipe)) = shell.as_mut() {
            writeln!(pipe, "{verb} {pid}").expect("telling the watchdog");
        }
    }
}

/// Kills every process that the testkit started in this process, removes their files, and waits for it. It happens by itself
/// when the process ends, some milliseconds after: call it last where nothing may be left at the very moment of the exit.
pub fn stop_everything() {
    let shell = Watchdog::get().shell.lock().unwrap().take();
    if let Some((mut shell, pipe)) = shell {
        drop(pipe);
        let _ = shell.wait();
    }
}

/// Has a command, and all that it starts, end with this process at the latest.
pub fn mark(command: &mut Command) {
    Watchdog::mark(command);
}
