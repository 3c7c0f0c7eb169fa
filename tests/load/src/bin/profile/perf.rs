//! Stacks of a process, sampled by perf and folded: one line a stack, with the time that it stands for.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use inferno::collapse::Collapse as _;
use inferno::collapse::perf::{Folder, Options};
use inferno::flamegraph;

/// Samples a second of each CPU; no divisor of what timers do.
const FREQUENCY: u32 = 397;
/// Bytes of stack in each sample, which perf unwinds afterwards by the debug information.
const STACK: u32 = 16_384;
/// Frames narrower than so much of the whole picture are left out, in percent: nobody could read them, and the file would be megabytes.
const NARROW: f64 = 0.5;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Recording(String);

/// Whether perf is installed.
pub(crate) fn is_here() -> bool {
    Command::new("perf").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Samples this process for so long. `base` is where perf's files go, each with an ending of its own.
pub(crate) async fn record(pid: u32, length: Duration, base: &Path) -> Recording {
    let (data, script) = (base.with_extension("perf"), base.with_extension("script"));
    let call_graph = format!("dwarf,{STACK}");
    // The CPU clock, and not cycles: virtual machines seldom count those.
    let mut record = tokio::process::Command::new("perf");
    record.args(["record", "--quiet", "--event", "cpu-clock", "--freq", &FREQUENCY.to_string()]);
    record.args(["--call-graph", &call_graph, "--pid", &pid.to_string(), "--output"]).arg(&data);
    record.args(["--", "sleep", &length.as_secs().to_string()]).kill_on_drop(true);
    assert!(record.status().await.unwrap().success(), "perf record");
    eprintln!("unwinding ..");
    // Without inlined frames: they cost minutes to look up.
    let mut unwind = tokio::process::Command::new("perf");
    unwind.args(["script", "--no-inline", "--input"]).arg(&data).stdout(File::create(&script).unwrap());
    assert!(unwind.stderr(Stdio::null()).status().await.unwrap().success(), "perf script");
    std::fs::remove_file(&data).unwrap();
    let mut options = Options::default();
    options.annotate_kernel = true;
    let mut folded = Vec::new();
    Folder::from(options).collapse(BufReader::new(File::open(&script).unwrap()), &mut folded).unwrap();
    std::fs::remove_file(&script).unwrap();
    Recording(String::from_utf8(folded).unwrap())
}

impl Recording {
    /// Each stack, its frames from the outermost on, and the nanoseconds that it stands for.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = (Vec<&str>, usize)> {
        self.0.lines().filter_map(|line| {
            let (frames, count) = line.rsplit_once(' ')?;
            Some((frames.split(';').collect(), count.parse().ok()?))
        })
    }

    /// Draws the flame graph.
    pub(crate) fn draw(&self, title: &str, path: &Path) {
        let mut options = flamegraph::Options::default();
        title.clone_into(&mut options.title);
        "ms".clone_into(&mut options.count_name);
        options.factor = 1e-6;
        options.min_width = NARROW;
        options.deterministic = true;
        flamegraph::from_lines(&mut options, self.0.lines(), File::create(path).unwrap()).unwrap();
    }
}
