//! A process that tells on request what it has allocated so far.

use std::alloc::GlobalAlloc;
use std::ops::Sub;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stats_alloc::StatsAlloc;
use testkit::Service;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// What a process allocated since its start, all threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Allocations, and growths of what was allocated: each is a call of the allocator.
    pub calls: usize,
    /// Bytes asked for.
    pub bytes: usize,
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { calls: self.calls - before.calls, bytes: self.bytes - before.bytes }
    }
}

impl Count {
    /// Asks a counted service. `asked` is how often it was asked before: its answers are numbered.
    ///
    /// # Panics
    /// When there is no answer within a minute.
    pub async fn of(service: &Service, asked: usize) -> Self {
        kill_process(Pid::from_raw(service.pid().cast_signed()).unwrap(), Signal::USR1).unwrap();
        let line = service.wait_for_log(&format!("allocated #{asked}: "), Duration::from_secs(60)).await;
        let mut figures = line.rsplit(": ").next().unwrap().split(' ').map(|figure| figure.parse().unwrap());
        Self { calls: figures.next().unwrap(), bytes: figures.next().unwrap() }
    }
}

/// Answers each SIGUSR1 by a line with the count so far; on the runtime, for as long as the process lives.
pub fn answer_counts<A: GlobalAlloc + Sync>(allocator: &'static StatsAlloc<A>) {
    let mut asked = signal(SignalKind::user_defined1()).unwrap();
    tokio::spawn(async move {
        for n in 0.. {
            asked.recv().await;
            let stats = allocator.stats();
            println!("allocated #{n}: {} {}", stats.allocations + stats.reallocations, stats.bytes_allocated);
        }
    });
}

/// One thread: how work spreads over threads decides how large batches are, and with them what a unit allocates.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
