//! Keeps a snapshot of the dead letters for whoever looks at them. Nobody looks: nothing is read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use amqp::{Broker, queues};
use contract::queue;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::snapshot::{Kept, Snapshot};
use super::{Filter, close, next_meant};
use crate::reading::{Audience, Turn};

/// Room of a snapshot in bytes: for 200,000 letters of a usual length, and some.
const ROOM: usize = 128 * 1024 * 1024;
/// An older one is read anew when somebody looks.
const FRESH: Duration = Duration::from_secs(1);
/// Nobody looked for so long: addresses rest here no longer than they are needed.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// A long reading is followed by a rest that is so much longer.
const REST: u32 = 4;

/// What is known of the dead letters.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// As they were, the last time they were read.
    pub snapshot: Option<Arc<Snapshot>>,
    /// They are being read: how many so far, and of how many.
    pub reading: Option<(u32, u32)>,
    /// Why they could not be read, the last time.
    pub trouble: Option<String>,
    /// How often they were read, or could not be.
    readings: u64,
}

/// A look at the dead letters, of all who want one.
#[derive(Debug)]
pub struct Look {
    known: watch::Sender<Known>,
    wanted: Notify,
    pace: Mutex<Pace>,
}

/// When it is read again.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// How long the last reading took.
    took: Duration,
    /// Not before; none: at once.
    next: Option<Instant>,
}

impl Default for Look {
    fn default() -> Self {
        Self { known: watch::channel(Known::default()).0, wanted: Notify::new(), pace: Mutex::default() }
    }
}

impl Look {
    /// What is known; where it is out of date, after it was read anew, but not later than this. One that is there is not waited for
    /// where the last reading took longer.
    pub async fn within(&self, patience: Duration) -> Known {
        let pace = *self.pace();
        if pace.next.is_some_and(|next| Instant::now() < next) {
            return self.known.borrow().clone();
        }
        let mut changes = self.known.subscribe();
        let before = changes.borrow().readings;
        self.wanted.notify_one();
        if pace.took < patience || changes.borrow().snapshot.is_none() {
            // Too late, or the one who reads is gone: what is known stays as it was.
            let _ = timeout(patience, changes.wait_for(|known| known.readings != before)).await;
        }
        self.known.borrow().clone()
    }

    /// What is known is out of date.
    pub fn forget(&self) {
        self.pace().next = None;
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads when somebody looks, until told to stop.
    pub async fn keep(&self, broker: Broker, stop: CancellationToken) {
        while let Some(wanted) = stop.run_until_cancelled(timeout(FORGOTTEN, self.wanted.notified())).await {
            if wanted.is_err() {
                self.known.send_modify(|known| known.snapshot = None);
                continue;
            }
            let began = Instant::now();
            let read = self.read(&broker, &stop).await;
            let took = began.elapsed();
            *self.pace() = Pace { took, next: Some(Instant::now() + FRESH.max(took * REST)) };
            self.known.send_modify(|known| {
                known.reading = None;
                known.readings += 1;
                match read {
                    Ok(Some(snapshot)) => (known.snapshot, known.trouble) = (Some(Arc::new(snapshot)), None),
                    // This process ends.
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(error = format!("{error:#}"), "the dead letters could not be read");
                        known.trouble = Some(format!("{error:#}"));
                    }
                }
            });
        }
    }

    /// `None`: told to stop before its end.
    async fn read(&self, broker: &Broker, stop: &CancellationToken) -> anyhow::Result<Option<Snapshot>> {
        self.known.send_modify(|known| known.reading = Some((0, 0)));
        let turn = Turn::wait_for(Audience::Log, broker, queue::DEAD, stop).await?;
        let mut snapshot = Snapshot::new(SystemTime::now(), ROOM);
        // No worker ever ran: nothing is dead.
        if queues::look(turn.connection(), queue::DEAD).await?.is_none() {
            turn.end().await;
            return Ok(Some(snapshot));
        }
        let mut reading = turn.read().await?;
        let result = async {
            while let Some((letter, delivery)) = next_meant(&mut reading, &Filter::default(), snapshot.at).await? {
                snapshot.push(Kept::new(letter, &delivery.body));
                let so_far = reading.so_far();
                if so_far.0.is_multiple_of(1000) {
                    self.known.send_modify(|known| known.reading = Some(so_far));
                }
            }
            Ok(())
        };
        let result = result.await;
        let done = close(reading, result, snapshot.total()).await;
        turn.end().await;
        let done = done?;
        Ok(Some(snapshot).filter(|_| !done.interrupted))
    }
}
