//! Child processes and all their descendants, as one thing to signal.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::watchdog::Watchdog;

/// A child process in a process group of its own. Dropping it kills it and its descendants.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Child,
    status: Option<ExitStatus>,
}

impl State {
    fn poll(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("asking after a child process");
            if self.status.is_some() {
                Watchdog::ended(self.child.id());
            }
        }
        self.status
    }
}

impl Process {
    /// Spawns it; streams stay as the command has them, and are taken by `streams`.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        Watchdog::mark(command);
        let child = command.process_group(0).spawn()?;
        Watchdog::started(child.id());
        Ok(Self { pid: Pid::from_child(&child), state: Mutex::new(State { child, status: None }) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Gives access to the streams of the child.
    pub(crate) fn with_child<T>(&self, with: impl FnOnce(&mut Child) -> T) -> T {
        with(&mut self.state.lock().unwrap().child)
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.state.lock().unwrap().poll()
    }

    /// Signals the process itself; does nothing once it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut state = self.state.lock().unwrap();
        if state.poll().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Stops it and its descendants where they stand.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        signal_all(&descendants(self.pid), Signal::STOP);
    }

    /// Lets them go on.
    pub(crate) fn resume(&self) {
        signal_all(&descendants(self.pid), Signal::CONT);
        self.signal(Signal::CONT);
    }

    /// SIGKILL to it and to all its descendants; returns when they are gone.
    pub(crate) fn kill(&self) {
        // Stopped first, it cannot start others while we look.
        self.signal(Signal::STOP);
        let below = descendants(self.pid);
        self.signal(Signal::KILL);
        signal_all(&below, Signal::KILL);
        self.wait(Duration::from_secs(10)).expect("a process ends within 10 s of SIGKILL");
        let deadline = Instant::now() + Duration::from_secs(10);
        while below.iter().any(|pid| is_alive(*pid)) {
            assert!(Instant::now() < deadline, "descendants of {} survived SIGKILL", self.pid());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end, blocking.
    pub(crate) fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            let status = self.status();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            let status = self.status();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The process of a server that can be killed, stopped where it stands, and started again.
#[derive(Debug, Default)]
pub(crate) struct ServerProcess(Mutex<Option<Process>>);

impl ServerProcess {
    /// Starts it; returns its process id.
    pub(crate) fn start(&self, command: &mut Command) -> io::Result<u32> {
        let process = Process::spawn(command)?;
        let pid = process.pid();
        *self.0.lock().unwrap() = Some(process);
        Ok(pid)
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.0.lock().unwrap().as_ref().and_then(Process::status)
    }

    /// Kills it and all its descendants with SIGKILL; returns when they are gone.
    pub(crate) fn kill(&self) {
        if let Some(process) = self.0.lock().unwrap().take() {
            process.kill();
        }
    }

    /// Shuts it down by this signal, if it runs; one that takes longer is killed.
    pub(crate) async fn shut_down(&self, signal: Signal, within: Duration) {
        let running = self.0.lock().unwrap().take();
        if let Some(process) = running {
            process.resume();
            process.signal(signal);
            if process.ended(within).await.is_none() {
                process.kill();
            }
        }
    }

    /// Stops it where it stands (SIGSTOP): connections stay open, nothing answers.
    pub(crate) fn pause(&self) {
        self.0.lock().unwrap().as_ref().inspect(|process| process.pause());
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.0.lock().unwrap().as_ref().inspect(|process| process.resume());
    }

    /// Tells it to stop by this signal, and waits for a moment. Dropped without that it is killed.
    pub(crate) fn stop(&mut self, signal: Signal, within: Duration) {
        if let Some(process) = self.0.get_mut().unwrap().as_ref() {
            process.resume();
            process.signal(signal);
            process.wait(within);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status().is_none() {
            self.kill();
        }
    }
}

fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill_process(*pid, signal);
    }
}

/// State and parent of a process, from `/proc/<pid>/stat`.
fn stat(pid: Pid) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The command's name stands in brackets and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_alive(pid: Pid) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

fn descendants(of: Pid) -> Vec<Pid> {
    let all: Vec<(Pid, i32)> = fs::read_dir("/proc")
        .expect("reading /proc")
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter_map(|pid| Some((pid, stat(pid)?.1)))
        .collect();
    let mut family = HashSet::from([of.as_raw_nonzero().get()]);
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for (pid, parent) in &all {
            if family.contains(parent) && family.insert(pid.as_raw_nonzero().get()) {
                found.push(*pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
