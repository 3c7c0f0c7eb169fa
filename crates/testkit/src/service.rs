//! Our own services, as the processes they are in production.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;

use crate::eventually::poll;
use crate::port::Port;
use crate::process::Process;

/// How long a service may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(90);
/// For the lines that it wrote before its end.
const LAST_LINES: Duration = Duration::from_secs(5);

/// A service in a process of its own, with ports that it keeps over restarts. When a test fails, its last log lines are printed.
#[derive(Debug)]
pub struct Service {
    name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    http: Port,
    admin: Port,
    process: Mutex<Arc<Process>>,
    lines: Arc<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    all: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
    /// Pipes that are still read.
    open: watch::Sender<usize>,
}

impl Service {
    /// Starts `name` with these variables, and with none of the test's own but `PATH`. Set unless they are given: `ADMIN_ADDR` and
    /// `HTTP_ADDR` (to free ports), `LOG_FORMAT=json`.
    ///
    /// # Panics
    /// When its binary does not lie beside the test's: cargo builds it for the integration tests of its own package, and for others by
    /// `cargo build -p <name>`.
    pub fn spawn(name: &str, environment: &[(&str, String)]) -> Self {
        Self::spawn_with(name, &[], environment)
    }

    /// The same with arguments, such as a subcommand.
    pub fn spawn_with(name: &str, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        Self::spawn_program(binary(name), arguments, environment)
    }

    /// The same for a program that is not ours: it may lie anywhere, and serves HTTP where `HTTP_ADDR` says. What is ready and how it
    /// ends is its own affair.
    pub fn spawn_program(binary: PathBuf, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (http, admin) = (Port::free(), Port::free());
        let mut variables = vec![
            ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()),
            ("ADMIN_ADDR".to_owned(), admin.addr().to_string()),
            ("HTTP_ADDR".to_owned(), http.addr().to_string()),
            ("LOG_FORMAT".to_owned(), "json".to_owned()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ];
        variables.extend(environment.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let lines = Arc::default();
        let process = Mutex::new(Arc::new(launch(&binary, &arguments, &variables, &lines)));
        Self { name, binary, arguments, environment: variables, http, admin, process, lines }
    }

    /// Starts it again, with the same ports and variables; one that runs is killed first.
    pub fn restart(&self) {
        self.kill();
        *self.process.lock().unwrap() = Arc::new(launch(&self.binary, &self.arguments, &self.environment, &self.lines));
    }

    /// Where it serves HTTP, such as `http://127.0.0.1:12345`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.http.addr())
    }

    /// The same as an address.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.addr()
    }

    /// Where it serves `/livez` and `/readyz`.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin.addr())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Waits until `/readyz` answers 200, at most 30 s.
    ///
    /// # Panics
    /// When it does not, or the process ends before.
    pub async fn ready(&self) {
        let url = format!("{}/readyz", self.admin_url());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
        let mut last = "no answer".to_owned();
        let ready = poll(Duration::from_secs(30), async || {
            let ended = self.process().status();
            assert!(ended.is_none(), "{} ended before it was ready: {ended:?}", self.name);
            let response = client.get(&url).send().await.ok()?;
            let status = response.status();
            last = format!("{status} {}", response.text().await.unwrap_or_default());
            status.is_success().then_some(())
        });
        let ready = ready.await;
        assert!(ready.is_some(), "{} is not ready: {last}", self.name);
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        let process = self.process();
        if process.status().is_none() {
            process.kill();
        }
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Panics
    /// When it does not end within a minute.
    pub async fn terminate(&self) -> ExitStatus {
        self.process().signal(Signal::TERM);
        self.exited(PATIENCE).await
    }

    /// Waits for it to end by itself; all that it wrote is in [`log_lines`](Self::log_lines) then.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn exited(&self, within: Duration) -> ExitStatus {
        let status = self.process().ended(within).await;
        let status = status.unwrap_or_else(|| panic!("{} (pid {}) still runs after {within:?}", self.name, self.pid()));
        // What it wrote last may still be in its pipes; a child of its own may hold them open.
        let mut open = self.lines.open.subscribe();
        let _ = tokio::time::timeout(LAST_LINES, open.wait_for(|open| *open == 0)).await;
        status
    }

    /// Waits for it to end by itself; its exit code, and the line that says why.
    ///
    /// # Panics
    /// When it does not end in time, or not with exactly one such line.
    pub async fn failed(&self, within: Duration) -> (Option<i32>, String) {
        let (status, lines) = (self.exited(within).await, self.log_lines());
        let mut errors = lines.iter().filter(|line| line.starts_with("error:"));
        match (errors.next(), errors.next()) {
            (Some(line), None) => (status.code(), line.clone()),
            _ => panic!("{} ended with {status} and not one error: {lines:#?}", self.name),
        }
    }

    /// How it ended; `None` while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        self.process().status()
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn pause(&self) {
        self.process().pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process().resume();
    }

    /// What it wrote to stdout and stderr so far, restarts included.
    pub fn log_lines(&self) -> Vec<String> {
        self.lines.all.lock().unwrap().clone()
    }

    /// Waits for a line that contains this, and gives it.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn wait_for_log(&self, part: &str, within: Duration) -> String {
        let mut count = self.lines.count.subscribe();
        let waiting = async {
            let mut seen = 0;
            loop {
                count.mark_unchanged();
                let lines = self.log_lines();
                if let Some(line) = lines[seen..].iter().find(|line| line.contains(part)) {
                    return line.clone();
                }
                seen = lines.len();
                count.changed().await.expect("this value holds the sender");
            }
        };
        let line = tokio::time::timeout(within, waiting).await;
        line.unwrap_or_else(|_| panic!("{} did not log {part:?} within {within:?}", self.name))
    }

    /// The CPU time it has used, to 10 ms.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the service runs");
        let fields: Vec<&str> = stat.rsplit_once(") ").expect("a stat line").1.split(' ').collect();
        // User and system time, in hundredths of a second.
        let ticks: u64 = fields[11..13].iter().map(|f| f.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The memory it has resident, in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the service runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    fn process(&self) -> Arc<Process> {
        self.process.lock().unwrap().clone()
    }
}

impl Drop for Service {
    #[allow(clippy::print_stderr, reason = "shown with the output of the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.log_lines();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- the last lines of {} ({:?}):\n{}", self.name, self.status(), last.join("\n"));
        }
    }
}

/// The service's binary, which cargo puts a directory above that of the tests.
fn binary(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("the path of this program");
    let found = me.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {name} beside {}: `cargo build -p {name}` first", me.display()))
}

fn launch(binary: &PathBuf, arguments: &[String], environment: &[(String, String)], lines: &Arc<Lines>) -> Process {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().envs(environment.iter().map(|(k, v)| (k, v)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = Process::spawn(&mut command).unwrap_or_else(|e| panic!("starting {}: {e}", binary.display()));
    let (stdout, stderr) = process.with_child(|child| (child.stdout.take().unwrap(), child.stderr.take().unwrap()));
    capture(stdout, lines.clone());
    capture(stderr, lines.clone());
    process
}

/// Collects lines until the pipe closes, which it does with the process; reads on its own thread, so the process never waits for us.
fn capture(pipe: impl Read + Send + 'static, lines: Arc<Lines>) {
    lines.open.send_modify(|open| *open += 1);
    let reading = move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let mut all = lines.all.lock().unwrap();
            all.push(String::from_utf8_lossy(&line).into_owned());
            lines.count.send_replace(all.len());
        }
        lines.open.send_modify(|open| *open -= 1);
    };
    std::thread::Builder::new().name("service-log".to_owned()).spawn(reading).expect("starting a thread");
}
