//! How long to wait for company before a statement is sent.
//!
//! What arrives while the database answers shares the next statement: that alone makes batches under load. At full rate this
//! is not enough to keep round trips rare, so an actor then also waits a little, as long as it takes for a good batch to
//! arrive at the rate seen lately. A quiet worker never waits.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::Instant;

/// Worth one round trip: with this many in a claim and in a mark, a mail costs 0.04 of them.
const GOOD_BATCH: usize = 50;

/// A window that would gather fewer than this is not worth its latency.
const WORTH_WAITING: f64 = 4.0;

/// Nothing for so long: whoever could send more is waiting for this batch. While it gathers, the actor looks at its queue
/// this often, rather than at each arrival.
const LULL: Duration = Duration::from_millis(4);

/// The memory of the arrival rate.
const MEMORY: Duration = Duration::from_millis(100);

/// Arrivals a second, the recent ones counting most.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { per_second: 0.0, at: now }
    }

    fn at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at);
        self.per_second * (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }

    fn note(&mut self, arrived: usize, now: Instant) {
        self.per_second = self.at(now) + arrived as f64 / MEMORY.as_secs_f64();
        self.at = now;
    }
}

/// How long to wait at this pace until `missing` more have come, and at most until `longest` is over; not at all, when it
/// is not worth it.
fn window(per_second: f64, missing: usize, longest: Duration) -> Duration {
    if missing == 0 || per_second * longest.as_secs_f64() < WORTH_WAITING {
        return Duration::ZERO;
    }
    Duration::from_secs_f64(missing as f64 / per_second).min(longest)
}

/// A queue that is read in batches.
#[derive(Debug)]
pub(super) struct Batcher<T> {
    queue: Receiver<T>,
    pace: Pace,
    longest: Duration,
    full: usize,
}

impl<T> Batcher<T> {
    /// Batches of at most `full`, that gather for `longest` at most.
    pub(super) fn new(queue: Receiver<T>, longest: Duration, full: usize) -> Self {
        Self { queue, pace: Pace::new(Instant::now()), longest, full: full.max(1) }
    }

    /// Adds what has come, and what comes within a worthwhile wait, to `batch`; waits for a first one if it is empty.
    /// `false`: the queue is closed, and `batch` is empty.
    pub(super) async fn fill(&mut self, batch: &mut Vec<T>) -> bool {
        if batch.is_empty() {
            match self.queue.recv().await {
                Some(first) => batch.push(first),
                None => return false,
            }
        }
        let opened = Instant::now();
        let mut last = opened;
        let mut noted = 0;
        loop {
            let open = self.take_waiting(batch);
            let now = Instant::now();
            if batch.len() > noted {
                self.pace.note(batch.len() - noted, now);
                noted = batch.len();
                last = now;
            }
            let missing = GOOD_BATCH.min(self.full).saturating_sub(batch.len());
            let wait =
                window(self.pace.at(now), missing, self.longest).min((opened + self.longest).duration_since(now));
            if !open || wait.is_zero() || now - last >= LULL {
                return true;
            }
            tokio::time::sleep(wait.min(LULL)).await;
        }
    }

    /// Takes what waits now, without waiting for more. `false`: the queue is closed and empty.
    pub(super) fn take_waiting(&mut self, batch: &mut Vec<T>) -> bool {
        while batch.len() < self.full {
            match self.queue.try_recv() {
                Ok(item) => batch.push(item),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// Nothing more is let in; what waits can still be taken.
    pub(super) fn close(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_quiet_worker_does_not_wait_and_a_busy_one_waits_for_a_good_batch() {
        for (per_second, missing, expected) in [
            (0.0, 49, Duration::ZERO),
            (150.0, 49, Duration::ZERO),
            (160.0, 49, 25 * MS),
            (1_000.0, 49, 25 * MS),
            (5_000.0, 50, 10 * MS),
            (5_000.0, 5, MS),
            (5_000.0, 0, Duration::ZERO),
            (50_000.0, 50, MS),
        ] {
            assert_eq!(window(per_second, missing, 25 * MS), expected, "{missing} more at {per_second}/s");
        }
    }

    #[test]
    fn the_pace_follows_the_arrivals_and_is_forgotten() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for tick in 1..=100 {
            pace.note(20, start + 10 * MS * tick);
        }
        let steady = pace.at(start + 1_000 * MS);
        assert!((1_800.0..2_300.0).contains(&steady), "20 in 10 ms is not {steady}/s");
        assert!(pace.at(start + 1_600 * MS) < 10.0);
    }

    #[tokio::test]
    async fn what_waits_goes_together_up_to_the_limit_and_the_rest_goes_next() {
        let (sender, queue) = mpsc::channel(16);
        let mut gathering = Batcher::new(queue, 25 * MS, 6);
        for item in 0..9 {
            sender.send(item).await.unwrap();
        }
        drop(sender);
        let mut batch = Vec::new();
        assert!(gathering.fill(&mut batch).await);
        assert_eq!(batch, [0, 1, 2, 3, 4, 5]);
        batch.clear();
        assert!(gathering.fill(&mut batch).await);
        assert_eq!(batch, [6, 7, 8]);
        batch.clear();
        assert!(!gathering.fill(&mut batch).await, "the queue is closed");
    }

    #[tokio::test]
    async fn a_burst_that_is_over_does_not_wait_for_more() {
        let (sender, queue) = mpsc::channel(16);
        let mut gathering = Batcher::new(queue, 1_000 * MS, 100);
        for item in 0..16 {
            sender.send(item).await.unwrap();
        }
        let asked = Instant::now();
        let mut batch = Vec::new();
        assert!(gathering.fill(&mut batch).await);
        assert_eq!(batch.len(), 16);
        assert!(asked.elapsed() < 150 * MS, "it waited {:?}", asked.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_steady_pace_a_batch_gathers_for_its_time_and_no_longer() {
        let (sender, queue) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(MS);
            loop {
                tick.tick().await;
                if sender.send(()).await.is_err() {
                    return;
                }
            }
        });
        let mut gathering = Batcher::new(queue, 25 * MS, 1_000);
        let began = Instant::now();
        while began.elapsed() < 1_000 * MS {
            let (mut batch, asked) = (Vec::new(), Instant::now());
            assert!(gathering.fill(&mut batch).await);
            let took = asked.elapsed();
            assert!(took <= 26 * MS, "a batch of {} took {took:?}", batch.len());
            // The pace has to be learnt first.
            let learnt = began.elapsed() > 500 * MS;
            assert!(!learnt || (20..=30).contains(&batch.len()), "{} after {took:?}", batch.len());
        }
    }

    #[tokio::test]
    async fn a_closed_queue_lets_nothing_in_and_gives_out_what_waits() {
        let (sender, queue) = mpsc::channel(16);
        let mut gathering = Batcher::new(queue, 25 * MS, 100);
        sender.send(1).await.unwrap();
        gathering.close();
        assert!(sender.send(2).await.is_err(), "it is closed");
        let mut batch = Vec::new();
        assert!(gathering.fill(&mut batch).await);
        assert_eq!(batch, [1]);
    }
}
