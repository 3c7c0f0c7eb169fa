//! What the kernel knows of a process.

use std::fs;
use std::time::Duration;

/// Ticks of /proc/PID/stat a second; fixed at 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// CPU time used so far, user and system, all threads.
pub fn cpu(pid: u32) -> Duration {
    let fields = Stat::of(pid).unwrap().fields;
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    Duration::from_secs_f64(ticks / TICKS)
}

/// CPU time of all processes of this name that this process has started, and of what they started and saw end.
pub fn cpu_of_mine(name: &str) -> Duration {
    let ticks: f64 =
        mine(name).iter().map(|stat| stat.fields[11..15].iter().map(|f| f.parse::<f64>().unwrap()).sum::<f64>()).sum();
    Duration::from_secs_f64(ticks / TICKS)
}

/// Bytes that these processes had written to disk.
pub fn written_by_mine(name: &str) -> u64 {
    let written = |stat: &Stat| {
        let io = fs::read_to_string(format!("/proc/{}/io", stat.pid)).unwrap_or_default();
        io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse::<u64>().ok()).unwrap_or_default()
    };
    mine(name).iter().map(written).sum()
}

/// One line of /proc/PID/stat.
struct Stat {
    pid: u32,
    name: String,
    /// From the state on, which is the third field of proc(5).
    fields: Vec<String>,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may contain blanks.
        let (before, after) = stat.rsplit_once(") ")?;
        let name = before.split_once('(')?.1.to_owned();
        Some(Self { pid, name, fields: after.split_whitespace().map(str::to_owned).collect() })
    }

    fn parent(&self) -> u32 {
        self.fields[1].parse().unwrap()
    }
}

/// The descendants of this process that have this name.
fn mine(name: &str) -> Vec<Stat> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: std::collections::HashMap<u32, Stat> = pids.filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
    let me = std::process::id();
    let is_mine = |stat: &Stat| {
        std::iter::successors(all.get(&stat.parent()), |stat| all.get(&stat.parent())).any(|stat| stat.pid == me)
    };
    let chosen: Vec<u32> =
        all.values().filter(|stat| stat.name == name && is_mine(stat)).map(|stat| stat.pid).collect();
    let mut all = all;
    chosen.iter().filter_map(|pid| all.remove(pid)).collect()
}

/// Resident memory, MiB.
pub fn rss(pid: u32) -> f64 {
    memory(pid, "VmRSS:")
}

/// The most that was ever resident, MiB.
pub fn peak(pid: u32) -> f64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, which: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
