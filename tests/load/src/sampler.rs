//! What changes while a load runs: the queue, and the processes.

use std::time::{Duration, Instant};

use testkit::{Rabbit, Service};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::process;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(250);

/// One look.
#[derive(Debug, Clone)]
pub struct Sample {
    /// From the start of the sampler.
    pub at: Duration,
    /// Messages that wait in the queue.
    pub queued: u32,
    /// Each watched process, in the order given.
    pub processes: Vec<Reading>,
}

/// A process at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// CPU time so far.
    pub cpu: Duration,
    /// Resident memory, MiB.
    pub rss: f64,
}

impl Reading {
    /// Of this process, now.
    pub fn of(pid: u32) -> Self {
        Self { cpu: process::cpu(pid), rss: process::rss(pid) }
    }
}

/// Looks at a queue and at processes until it is stopped.
#[derive(Debug)]
pub struct Sampler {
    /// When it started.
    pub start: Instant,
    token: CancellationToken,
    looking: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Watches this queue and these processes, which have to live as long.
    pub async fn start(rabbit: &Rabbit, queue: &'static str, watched: &[&Service]) -> Self {
        let client = rabbit.client().await;
        let pids: Vec<u32> = watched.iter().map(|service| service.pid()).collect();
        let (start, token) = (Instant::now(), CancellationToken::new());
        let stop = token.clone();
        let looking = tokio::spawn(async move {
            let mut samples = Vec::new();
            let mut tick = tokio::time::interval(EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                // Asked of the queue itself: the management API is some seconds behind.
                let queued = client.ready(queue).await;
                let processes = pids.iter().map(|pid| Reading::of(*pid)).collect();
                samples.push(Sample { at: start.elapsed(), queued, processes });
            }
            client.close().await;
            samples
        });
        Self { start, token, looking }
    }

    /// Stops it; what it saw.
    pub async fn stop(self) -> Vec<Sample> {
        self.token.cancel();
        self.looking.await.unwrap()
    }
}
