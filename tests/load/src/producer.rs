//! Tasks published straight into the queue at a constant rate, as a foreign producer would, each confirmed.

use std::time::{Duration, Instant};

use amqp::{Broker, ConfirmChannel};
use tokio::task::JoinSet;

use crate::servers::task;
use crate::{OpenLoop, Progress};

/// Connections that publish, each with a share of the tasks. One alone waits for the broker's disk between its batches.
const CONNECTIONS: usize = 4;
/// How often each of them publishes what is due.
const EVERY: Duration = Duration::from_millis(10);
/// The most in one go.
const BATCH: usize = 1_000;
/// How long the broker may take to confirm a batch. Far above every goal: what is late is measured, not cut off.
const PATIENCE: Duration = Duration::from_secs(60);

/// A producer of tasks, each for a recipient of its own: see [`recipient`](crate::recipient).
#[derive(Debug)]
pub struct Producer {
    url: String,
}

/// What it published.
#[derive(Debug)]
pub struct Produced {
    /// When it began; every intended start counts from here.
    pub start: Instant,
    /// When each task was confirmed, in no order.
    pub confirmed: Vec<Instant>,
    /// From the intended start of each task to its confirm.
    pub latencies: Vec<Duration>,
}

impl Producer {
    /// Publishes to this vhost.
    pub fn new(amqp_url: &str) -> Self {
        Self { url: amqp_url.to_owned() }
    }

    /// Publishes the load.
    ///
    /// # Panics
    /// When the broker does not confirm a task.
    pub async fn run(&self, load: OpenLoop, progress: &Progress) -> Produced {
        let mut connections = JoinSet::new();
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            let broker = Broker::new(self.url.parse().unwrap(), "producer");
            let connection = broker.connect().await.unwrap();
            let channel = ConfirmChannel::open(&connection, PATIENCE).await.unwrap();
            channels.push((connection, channel));
        }
        let start = Instant::now();
        for (first, (connection, mut channel)) in channels.into_iter().enumerate() {
            let progress = progress.clone();
            connections.spawn(async move {
                let produced = publish(&mut channel, load, first, start, &progress).await;
                connection.close().await;
                produced
            });
        }
        let mut all = Produced { start, confirmed: Vec::new(), latencies: Vec::new() };
        for (confirmed, latencies) in connections.join_all().await {
            all.confirmed.extend(confirmed);
            all.latencies.extend(latencies);
        }
        all
    }
}

/// Publishes the tasks `first`, `first + CONNECTIONS`, .. of the load, each as soon as it is due.
async fn publish(
    channel: &mut ConfirmChannel,
    load: OpenLoop,
    first: usize,
    start: Instant,
    progress: &Progress,
) -> (Vec<Instant>, Vec<Duration>) {
    let mut mine = (first..load.count()).step_by(CONNECTIONS).peekable();
    let (mut confirmed, mut latencies) = (Vec::new(), Vec::new());
    while let Some(next) = mine.peek() {
        tokio::time::sleep_until((start + load.intended(*next)).max(Instant::now()).into()).await;
        let due = start.elapsed();
        let batch: Vec<usize> = std::iter::from_fn(|| mine.next_if(|n| load.intended(*n) <= due)).take(BATCH).collect();
        let tasks: Vec<_> = batch.iter().map(|n| task(*n)).collect();
        system::publish_confirmed(channel, tasks, PATIENCE).await;
        let now = Instant::now();
        confirmed.extend(batch.iter().map(|_| now));
        latencies.extend(batch.iter().map(|n| (now - start).saturating_sub(load.intended(*n))));
        progress.add(batch.len());
        tokio::time::sleep(EVERY.saturating_sub(start.elapsed() - due)).await;
    }
    (confirmed, latencies)
}
