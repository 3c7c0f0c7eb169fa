//! Whether the machine had time for us.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(2);
/// Later than this, a beat was held up by others. A mail passes half a dozen processes, and may be 25 ms late in all.
const LATE: Duration = Duration::from_millis(8);

/// Where somebody waited for a core during more than half of this, others had no time either.
const LOOK: Duration = Duration::from_millis(50);

/// A thread that only wakes up, again and again, and notes when it could not do so in time: what it lost, others lost too.
/// It also looks at how long others had to wait.
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
            let (mut looked, mut waited) = (Instant::now(), pressure());
            while !stopped.load(Ordering::Relaxed) {
                let due = Instant::now() + BEAT;
                std::thread::sleep(BEAT);
                if due.elapsed() > LATE {
                    noting.lock().unwrap().extend([due, Instant::now()]);
                }
                if looked.elapsed() >= LOOK {
                    let now = pressure();
                    if now.saturating_sub(waited) > LOOK / 2 {
                        noting.lock().unwrap().extend([looked, Instant::now()]);
                    }
                    (looked, waited) = (Instant::now(), now);
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

/// For how long, since the machine's start, somebody on it was ready to run and had no core (Linux, `Documentation/accounting/psi.rst`).
/// Zero where the kernel does not tell.
fn pressure() -> Duration {
    let told = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let some = told.lines().find(|line| line.starts_with("some"));
    let total = some.and_then(|line| line.rsplit_once("total=")?.1.parse().ok());
    Duration::from_micros(total.unwrap_or_default())
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.beating.take().map(JoinHandle::join);
    }
}
