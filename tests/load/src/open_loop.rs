//! Arrivals at a constant rate, whatever becomes of those before: as users come.
//!
//! A client that waits for its answer before it asks again (a closed loop) slows down together with the server, and leaves out
//! just the requests that would have waited longest. Here each request has an intended start, and its latency counts from there,
//! also where the generator itself was late.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// So many arrivals a second for so long.
#[derive(Debug, Clone, Copy)]
pub struct OpenLoop {
    /// Arrivals a second.
    pub rate: f64,
    /// For how long.
    pub length: Duration,
}

/// What became of one arrival.
#[derive(Debug, Clone)]
pub struct Timed<T> {
    /// When it was to start, from the start of the load.
    pub intended: Duration,
    /// From then until its end.
    pub latency: Duration,
    /// How it ended.
    pub outcome: T,
}

/// More under way than this means that the generator, not the server, is what is measured.
const MOST_UNDER_WAY: usize = 20_000;

impl OpenLoop {
    /// The same rate for this share of the time.
    #[must_use]
    pub fn shorter(self, share: f64) -> Self {
        Self { length: self.length.mul_f64(share), ..self }
    }

    /// How many arrivals there will be.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far fewer than 2^52, never negative")]
    pub fn count(&self) -> usize {
        (self.rate * self.length.as_secs_f64()).round() as usize
    }

    /// When arrival `n` is to start, from the start of the load.
    pub fn intended(&self, n: usize) -> Duration {
        Duration::from_secs_f64(n as f64 / self.rate)
    }

    /// Starts every arrival at its moment, and waits for them all. They come back in the order of their ends.
    ///
    /// # Panics
    /// When an arrival panics, or far too many are under way at once.
    pub async fn run<T, F>(&self, arrive: impl Fn(usize) -> F) -> Vec<Timed<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let start = Instant::now();
        let mut under_way = JoinSet::new();
        let mut done = Vec::with_capacity(self.count());
        for n in 0..self.count() {
            let intended = self.intended(n);
            tokio::time::sleep_until((start + intended).into()).await;
            let arriving = arrive(n);
            under_way.spawn(async move {
                let outcome = arriving.await;
                Timed { intended, latency: start.elapsed().saturating_sub(intended), outcome }
            });
            while let Some(ended) = under_way.try_join_next() {
                done.push(ended.unwrap());
            }
            assert!(under_way.len() < MOST_UNDER_WAY, "{MOST_UNDER_WAY} arrivals are under way at once: ask for less");
        }
        while let Some(ended) = under_way.join_next().await {
            done.push(ended.unwrap());
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn arrivals_are_spread_evenly() {
        let load = OpenLoop { rate: 100.0, length: Duration::from_millis(100) };
        let ended = load.run(|n| async move { n }).await;
        assert_eq!(ended.len(), 10);
        let mut ended = ended;
        ended.sort_by_key(|timed| timed.intended);
        let intended: Vec<u128> = ended.iter().map(|timed| timed.intended.as_millis()).collect();
        assert_eq!(intended, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    }

    #[tokio::test]
    async fn a_slow_answer_delays_nobody_else() {
        let load = OpenLoop { rate: 100.0, length: Duration::from_millis(200) };
        let slow = Duration::from_millis(300);
        let began = Instant::now();
        let ended = load
            .run(|n| async move {
                if n == 0 {
                    tokio::time::sleep(slow).await;
                }
                n
            })
            .await;
        assert_eq!(ended.last().map(|timed| timed.outcome), Some(0), "the slow one ends last");
        assert!(ended.iter().all(|timed| timed.outcome == 0 || timed.latency < slow), "the others did not wait for it");
        assert!(began.elapsed() >= slow);
    }
}
