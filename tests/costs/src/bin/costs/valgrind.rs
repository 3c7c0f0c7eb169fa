//! A service on valgrind's processor.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::Port;

/// A service that runs under one of valgrind's tools. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Valgrind {
    child: Child,
    http: Port,
    out: PathBuf,
}

impl Valgrind {
    /// Starts a service. What the tool finds goes to `out`.
    pub(crate) fn start(tool: &str, binary: &Path, environment: &[(&str, String)], out: &Path) -> Self {
        let (http, admin) = (Port::free(), Port::free());
        assert!(binary.is_file(), "{} is not built", binary.display());
        let mut command = Command::new("valgrind");
        command.arg(format!("--tool={tool}")).arg(format!("--{tool}-out-file={}", out.display()));
        command.arg("--quiet").arg("--error-exitcode=0").arg(binary).env_clear();
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HTTP_ADDR", http.addr().to_string()).env("ADMIN_ADDR", admin.addr().to_string());
        // One thread: valgrind runs no two at once, and how they take turns is chance.
        command.env("TOKIO_WORKER_THREADS", "1").env("LOG_FORMAT", "json");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        testkit::mark(&mut command);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self { child: child.expect("valgrind starts: is it installed?"), http, out: out.to_owned() }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.http.addr())
    }

    /// Stops the service and waits for what the tool wrote.
    pub(crate) async fn finish(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let ended = tokio::task::block_in_place(|| self.child.wait()).unwrap();
        assert!(ExitStatus::success(&ended), "the service under valgrind ended with {ended}");
        std::fs::read_to_string(&self.out).unwrap()
    }
}

impl Drop for Valgrind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
