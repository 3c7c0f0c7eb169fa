//! Argon2id at OWASP's parameters, off the async threads, no more at once than there are cores to do it.
//!
//! What it costs is the capacity of the service: 8 ms and 19 MiB a registration. So it is here that requests wait, and
//! here that the service says no, before it has done anything for them.

mod admission;
mod argon;
mod memory;
mod work_queue;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use admission::Overloaded;
pub use argon::HashCost;

use crate::domain::Password;
use crate::telemetry::Metrics;
use admission::Admission;
use argon::Room;
use memory::Memory;
use work_queue::WorkQueue;

/// Memory is given back after so long without a hash.
const IDLE: Duration = Duration::from_secs(2);

/// Hashes and verifies. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Hasher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    admission: Arc<Admission>,
    queue: Arc<WorkQueue>,
    memory: Arc<Memory>,
    max_wait: Duration,
    cost: HashCost,
    metrics: Metrics,
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// A fault of our own: it cannot come from the input.
    #[error("hashing a password: {0}")]
    Failed(String),
}

impl Hasher {
    /// At most `concurrency` hashes at once, and nobody waits longer than `max_wait` for a turn.
    pub fn new(concurrency: usize, max_wait: Duration, cost: HashCost, metrics: Metrics) -> Self {
        let memory = Arc::new(Memory::new(IDLE));
        let shared = Shared {
            admission: Arc::new(Admission::new(concurrency, max_wait)),
            queue: Arc::new(WorkQueue::new(concurrency, Arc::clone(&memory))),
            memory,
            max_wait,
            cost,
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether a hash asked for now would wait too long. Promises nothing; for saying no before a body is read.
    ///
    /// # Errors
    /// [`Overloaded`]: it would.
    pub fn look(&self) -> Result<(), Overloaded> {
        self.shared.admission.look()
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// [`HashError`]
    pub async fn hash(&self, password: Password) -> Result<String, HashError> {
        let cost = self.shared.cost;
        self.run(move |room| argon::hash(&password, cost, room)).await
    }

    /// Whether `phc` is a hash of this password.
    ///
    /// # Errors
    /// [`HashError`]
    pub async fn verify(&self, password: Password, phc: String) -> Result<bool, HashError> {
        self.run(move |room| argon::verify(&password, &phc, room)).await
    }

    /// Gives memory back when nobody has hashed for some seconds, until the token is cancelled.
    pub async fn give_memory_back(&self, token: CancellationToken) {
        self.shared.memory.give_back(token).await;
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Room) -> Result<T, String> + Send + 'static,
    ) -> Result<T, HashError> {
        let shared = &self.shared;
        let place = shared.admission.enter()?;
        let (done, mut hashed) = oneshot::channel();
        let (asked, metrics) = (Instant::now(), shared.metrics.clone());
        let queued = shared.queue.join(move |room| {
            metrics.hashing_wait(asked.elapsed());
            let started = Instant::now();
            let hash = work(room);
            place.took(started.elapsed());
            drop(place);
            let _ = done.send(hash);
        });
        let hash = match tokio::time::timeout(shared.max_wait, &mut hashed).await {
            Ok(hash) => hash,
            Err(_) if queued.give_up() => {
                shared.metrics.hashing_wait(shared.max_wait);
                return Err(shared.admission.overloaded_now().into());
            }
            Err(_) => hashed.await,
        };
        hash.map_err(|_| HashError::Failed("it panicked".to_owned()))?.map_err(HashError::Failed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_and_no_other() {
        let hasher = Hasher::new(1, Duration::from_secs(5), HashCost::Owasp, Metrics::new());
        let phc = hasher.hash(password("korrekt-pferd")).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(hasher.verify(password("korrekt-pferd"), phc.clone()).await.unwrap());
        assert!(!hasher.verify(password("korrekt-pferd "), phc.clone()).await.unwrap());
        let again = hasher.hash(password("korrekt-pferd")).await.unwrap();
        assert_ne!(phc, again, "the salt is the same");
        assert!(matches!(
            hasher.verify(password("korrekt-pferd"), "no hash".to_owned()).await,
            Err(HashError::Failed(_))
        ));
    }

    #[tokio::test]
    async fn hashes_of_either_cost_share_the_memory_and_verify_each_other() {
        let hasher = |cost| Hasher::new(1, Duration::from_secs(5), cost, Metrics::new());
        let (cheap, dear) = (hasher(HashCost::Cheap), hasher(HashCost::Owasp));
        let cheaply = cheap.hash(password("korrekt-pferd")).await.unwrap();
        let kib = cheap.shared.memory.take().kib();
        assert!(kib < 100, "a cheap hash touched {kib} KiB");
        let dearly = dear.hash(password("korrekt-pferd")).await.unwrap();
        for (hasher, phc) in [(&cheap, &dearly), (&dear, &cheaply), (&cheap, &cheaply), (&dear, &dearly)] {
            assert!(hasher.verify(password("korrekt-pferd"), phc.clone()).await.unwrap(), "{phc}");
        }
    }

    #[tokio::test]
    async fn whoever_would_wait_too_long_is_refused_at_once() {
        let hasher = Hasher::new(1, Duration::ZERO, HashCost::Owasp, Metrics::new());
        let first = hasher.shared.admission.enter().unwrap();
        assert!(hasher.look().is_err(), "whoever asks is told before a body is read");
        let Err(HashError::Overloaded(overloaded)) = hasher.hash(password("korrekt-pferd")).await else {
            panic!("the second hash was taken although it had to wait");
        };
        assert!(overloaded.retry_after >= Duration::from_secs(1), "{overloaded:?}");
        drop(first);
        assert!(hasher.look().is_ok(), "still refused although nobody is there any more");
    }
}
