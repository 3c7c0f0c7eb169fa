//! Whether the machine had time for us.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(2);
/// Later than this, a beat was held up by others. A mail passes half a dozen processes, and may be 25 ms late in all.
const LATE: Duration = Duration::from_millis(8);

/// A thread that only wakes up, again and again, and notes when it could not do so in time: what it lost, others lost too.
pub struct Pulse {
    late: Arc<Mutex<Vec<Instant>>>,
    stop: Arc<AtomicBool>,
    beating: Option<JoinHandle<()>>,
}

impl Pulse {
    /// Starts it.
    pub fn start() -> Self {
        let (late, stop) = (Arc::<Mutex<Vec<Instant>>>::default(), Arc::<AtomicBool>::default());
        let (noting, stopped) = (Arc::clone(&late), Arc::clone(&stop));
        let beating = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let due = Instant::now() + BEAT;
                std::thread::sleep(BEAT);
                if due.elapsed() > LATE {
                    noting.lock().unwrap().extend([due, Instant::now()]);
                }
            }
        });
        Self { late, stop, beating: Some(beating) }
    }

    /// Whether every beat between the two was in time.
    pub fn was_steady(&self, from: Instant, to: Instant) -> bool {
        !self.late.lock().unwrap().iter().any(|at| (from..to).contains(at))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.beating.take().map(JoinHandle::join);
    }
}
