//! Nothing outlives the process that started it, however that ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// `with-servers` with a command that reports in and then does as told.
struct Run {
    child: Child,
    mark: String,
}

impl Run {
    fn start(then: &str) -> Self {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(env!("CARGO_BIN_EXE_with-servers"));
        command.args(["--", "/bin/sh", "-c", &format!("echo $SLUICE_TESTKIT; {then}")]);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let mut mark = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut mark).unwrap();
        assert!(!mark.trim().is_empty(), "the command runs, and is marked");
        Self { child, mark: mark.trim().to_owned() }
    }

    fn files(&self) -> PathBuf {
        std::env::temp_dir().join(format!("sluice-testkit-{}", self.mark))
    }

    /// The command lines of what lives of it: marked, or at work in its directory (PostgreSQL's backends overwrite their environment).
    fn alive(&self) -> Vec<String> {
        let mark = format!("SLUICE_TESTKIT={}", self.mark);
        let ours = |process: &Path| {
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            let marked = environment.split(|b| *b == 0).any(|variable| variable == mark.as_bytes());
            let inside = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(self.files()));
            let zombie = fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "));
            (marked || inside) && !zombie
        };
        let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let ours = processes.filter(|path| ours(path));
        ours.map(|path| fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " ")).collect()
    }

    /// SIGINT as a terminal sends it: to the whole foreground group.
    fn interrupt(&self) {
        let group = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn nothing_is_left(&self, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.alive().is_empty() || self.files().exists() {
            let left = self.alive();
            assert!(Instant::now() < deadline, "left after {within:?}: {left:#?}, files: {}", self.files().exists());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn sigkill_of_the_process_takes_servers_and_command_with_it() {
    let mut run = Run::start("sleep 1000");
    let all = run.alive().join("\n");
    for part in ["epmd", "beam.smp", "bin/postgres", "postgres: checkpointer", "sleep 1000"] {
        assert!(all.contains(part), "{part} runs first:\n{all}");
    }
    run.child.kill().unwrap();
    run.wait();
    run.nothing_is_left(Duration::from_secs(10));
}

#[test]
fn ctrl_c_ends_the_command_and_leaves_nothing() {
    let mut run = Run::start("exec sleep 1000");
    run.interrupt();
    assert_eq!(run.wait().code(), Some(130));
    run.nothing_is_left(Duration::ZERO);
}

#[test]
fn the_commands_exit_code_is_passed_on_and_nothing_is_left() {
    let mut run = Run::start("exit 7");
    assert_eq!(run.wait().code(), Some(7));
    run.nothing_is_left(Duration::ZERO);
}
