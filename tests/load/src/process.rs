//! What the kernel knows of a process.

use std::fs;
use std::time::Duration;

/// Ticks of /proc/PID/stat a second; fixed at 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// CPU time used so far, user and system, all threads.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may contain blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    Duration::from_secs_f64(ticks / TICKS)
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
